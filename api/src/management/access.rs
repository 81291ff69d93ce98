//! Who may do what with the management REST: decided from the method, the route and the user, nothing else.
//!
//! Ant Media's three roles. `ADMIN` may do anything in its scope. `USER` may change content (through the panel's
//! way to the applications' REST) but no settings, users or applications. `READ_ONLY` may read. The scope is
//! `system` or one application, or `appNameUserType` gives a role for each of several; somebody whose scope is not
//! the system sees its applications only. A user without a role is an admin and without a scope of the system:
//! Ant Media wrote such records before it had roles.

use http::{HeaderMap, Method};
use std::sync::Arc;
use weir_cluster::records::User;

/// The scope that is everything.
pub(crate) const SYSTEM: &str = "system";

/// Paths that ask for no session, as in Ant Media; the client's address is still judged.
const SESSION_EXEMPT: [&str; 9] = [
    "/rest/v2/authentication-status",
    "/rest/v2/users/initial",
    "/rest/v2/first-login-status",
    "/rest/v2/users/authenticate",
    "/rest/v2/users/{email}/blocked",
    "/rest/isAuthenticated",
    "/rest/authenticateUser",
    "/rest/addInitialUser",
    "/rest/isFirstLogin",
];

/// What a request asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing at all: probes, and what the public pages read.
    Nothing,
    /// A client whose address may see the panel.
    Address,
    /// Any user.
    User,
    /// A user whose scope is the system.
    Reader,
    /// An admin of the system.
    Admin,
    /// Somebody who may read this application's settings.
    AppReader(String),
    /// An admin of this application.
    AppAdmin(String),
}

/// Who asks, an extension of each request of the management REST.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Somebody who did not show who it is, on a path where nobody has to.
    Nobody,
    /// A node of the cluster.
    Node,
    /// A program with a management token.
    Token,
    /// A user who logged in.
    User(Arc<User>),
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    ReadOnly,
    User,
    Admin,
}

impl Role {
    /// By Ant Media's name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "ADMIN" => Some(Self::Admin),
            "USER" => Some(Self::User),
            "READ_ONLY" => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

/// What `method` on `route` (a pattern of the router) asks; `app` is the application in its path.
pub(crate) fn need(method: &Method, route: &str, app: Option<&str>) -> Need {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let app = app.unwrap_or_default().to_owned();
    match route {
        // The version is what balancers ask for: it is told without the store, and by the public pages too.
        "/rest/v2/liveness" | "/rest/v2/version" | "/rest/v2/weir/node" | "/rest/v2/weir/live"
        | "/rest/openapi.json" => Need::Nothing,
        route if SESSION_EXEMPT.contains(&route) => Need::Address,
        "/rest/v2/users/logout"
        | "/rest/v2/users/password"
        | "/rest/v2/request"
        | "/rest/v2/admin-status"
        | "/rest/v2/enterprise-edition" => Need::User,
        "/rest/v2/applications/settings/{name}" if reads => Need::AppReader(app),
        "/rest/v2/applications/settings/{name}" => Need::AppAdmin(app),
        // Names and roles of people; and a GET that deletes.
        "/rest/v2/user-list" | "/rest/cluster/deleteNode/{id}" => Need::Admin,
        _ if reads => Need::Reader,
        _ => Need::Admin,
    }
}

/// Whether `user` has what is needed.
pub(crate) fn may(user: &User, need: &Need) -> bool {
    match need {
        Need::Nothing | Need::Address | Need::User => true,
        Need::Reader => role_in_system(user).is_some(),
        Need::Admin => role_in_system(user) == Some(Role::Admin),
        Need::AppReader(app) => role_in(user, app).is_some(),
        Need::AppAdmin(app) => role_in(user, app) == Some(Role::Admin),
    }
}

/// Whether `user` may send `method` to the REST of `app`.
pub(crate) fn may_in_app(user: &User, app: &str, method: &Method) -> bool {
    let least = match *method {
        Method::GET | Method::HEAD => Role::ReadOnly,
        _ => Role::User,
    };
    role_in(user, app).is_some_and(|role| role >= least)
}

/// The user's role in the system, `None` when its scope is less.
pub(crate) fn role_in_system(user: &User) -> Option<Role> {
    let by_app = !user.app_name_user_type.is_empty();
    match user.scope.as_deref() {
        Some(SYSTEM) => own_role(user),
        None if !by_app => own_role(user),
        _ => None,
    }
}

/// The user's role in an application.
pub(crate) fn role_in(user: &User, app: &str) -> Option<Role> {
    if let Some(role) = user.app_name_user_type.get(app) {
        return Role::parse(role);
    }
    if user.scope.as_deref() == Some(app) {
        return own_role(user);
    }
    role_in_system(user)
}

/// A role that is not known is no role.
fn own_role(user: &User) -> Option<Role> {
    match user.user_type.as_deref() {
        None => Some(Role::Admin),
        Some(name) => Role::parse(name),
    }
}

/// True for a change that a page of another site asks for with our user's cookie. `SameSite` keeps the cookie from
/// all but followed links; one GET of Ant Media's API changes something, and browsers say where a link came from.
pub(crate) fn is_forged(method: &Method, need: &Need, headers: &HeaderMap) -> bool {
    let changes = *method != Method::GET || *need == Need::Admin;
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    changes && matches!(site, Some(b"cross-site" | b"same-site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user_type: Option<&str>, scope: Option<&str>, apps: &[(&str, &str)]) -> User {
        let apps = apps.iter().map(|(a, r)| ((*a).to_owned(), (*r).to_owned()));
        User {
            user_type: user_type.map(str::to_owned),
            scope: scope.map(str::to_owned),
            app_name_user_type: apps.collect(),
            ..User::default()
        }
    }

    #[test]
    fn roles_hold_in_their_scope_only() {
        let admin = user(Some("ADMIN"), Some("system"), &[]);
        let reader = user(Some("READ_ONLY"), Some("system"), &[]);
        let of_app = user(Some("ADMIN"), Some("LiveApp"), &[]);
        let old = user(None, None, &[]);
        let several = user(None, None, &[("LiveApp", "ADMIN"), ("live", "READ_ONLY")]);
        let odd = user(Some("ROOT"), Some("system"), &[("live", "GOD")]);
        let settings = |app: &str| Need::AppAdmin(app.to_owned());

        assert!(may(&admin, &Need::Admin) && may(&admin, &settings("live")));
        assert!(may(&old, &Need::Admin), "from before there were roles");
        assert!(may(&reader, &Need::Reader) && !may(&reader, &Need::Admin));
        assert!(!may(&reader, &settings("live")));
        assert!(!may(&of_app, &Need::Reader) && !may(&of_app, &Need::Admin));
        assert!(may(&of_app, &settings("LiveApp")) && !may(&of_app, &settings("live")));
        assert!(
            !may(&of_app, &settings("LiveApp2")),
            "a name is not a prefix"
        );
        assert!(may(&several, &settings("LiveApp")) && !may(&several, &settings("live")));
        assert!(!may(&several, &Need::Reader) && may(&several, &Need::AppReader("live".into())));
        assert!(!may(&odd, &Need::Reader) && !may(&odd, &Need::AppReader("live".into())));
    }

    #[test]
    fn content_is_changed_by_users_and_read_by_all_in_scope() {
        let changes = |user: &User, app| may_in_app(user, app, &Method::POST);
        let reads = |user: &User, app| may_in_app(user, app, &Method::GET);
        let writer = user(Some("USER"), Some("LiveApp"), &[]);
        assert!(changes(&writer, "LiveApp") && !reads(&writer, "live"));
        let reader = user(Some("READ_ONLY"), Some("system"), &[]);
        assert!(reads(&reader, "live") && !changes(&reader, "live"));
    }

    #[test]
    fn whatever_is_not_named_needs_an_admin_to_change() {
        for route in [
            "/rest/v2/users",
            "/rest/v2/applications/{name}",
            "/rest/v2/anything",
        ] {
            assert_eq!(need(&Method::POST, route, None), Need::Admin, "{route}");
            assert_eq!(need(&Method::DELETE, route, None), Need::Admin, "{route}");
            assert_eq!(need(&Method::GET, route, None), Need::Reader, "{route}");
        }
        assert_eq!(
            need(&Method::GET, "/rest/cluster/deleteNode/{id}", None),
            Need::Admin
        );
    }
}
