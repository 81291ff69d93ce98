//! Calls of Ant Media's management REST that this version answers, but does not act upon: 200 and a `Result` with
//! `success: false`, as Ant Media answers commands that failed, and a message that says what to do instead.

use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ResultJson;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A command that is refused.
macro_rules! refused {
    ($($name:ident $method:ident $path:literal ($($param:literal)*) $what:literal, $instead:literal;)*) => {$(
        #[doc = concat!("Not in this version: ", $what, ".")]
        #[utoipa::path($method, path = $path, tag = "not in this version",
            params($(($param = String, Path)),*),
            responses((status = 200, body = ResultJson, description = "success is false"), Refusals))]
        pub(crate) async fn $name() -> ResultJson {
            ResultJson::failed(concat!("nothing was done: ", $what, " is not available here; ", $instead).to_owned())
        }
    )*};
}

refused! {
    ssl_settings post "/rest/v2/ssl-settings" ()
        "setting TLS up over REST", "put a proxy that ends TLS before http.port, and name it in trusted.proxies";
    upload put "/rest/v2/applications/{name}" ("name")
        "an application made from a WAR file",
        "make it with POST on this path, and set it up with POST /rest/v2/applications/settings/{name}";
    threads get "/rest/v2/threads" ()
        "a list of Java threads", "there is no Java; /metrics tells what the process does";
    thread_dump get "/rest/v2/thread-dump" ()
        "a dump of Java threads", "there is no Java; use gdb -p PID -batch -ex 'thread apply all bt' on the machine";
    thread_dump_json get "/rest/v2/thread-dump-json" ()
        "a dump of Java threads", "there is no Java; use gdb -p PID -batch -ex 'thread apply all bt' on the machine";
    heap_dump get "/rest/v2/heap-dump" ()
        "a dump of the Java heap", "there is no Java; use gcore PID on the machine";
    collect post "/rest/v2/system/gc" ()
        "garbage collection", "there is nothing to do: memory is freed as soon as nobody uses it";
    history get "/rest/v2/system-resources/history" ()
        "a history of figures", "let Prometheus collect /metrics";
    network get "/rest/v2/network-status" ()
        "the network's figures by interface", "/rest/v2/cluster/nodes tells each node's ingressMbps and egressMbps";
}

/// The routes, but for `upload`, which shares its path with others.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(ssl_settings))
        .routes(routes!(threads))
        .routes(routes!(thread_dump))
        .routes(routes!(thread_dump_json))
        .routes(routes!(heap_dump))
        .routes(routes!(collect))
        .routes(routes!(history))
        .routes(routes!(network))
}
