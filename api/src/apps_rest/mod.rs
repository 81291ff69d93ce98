//! An application's REST: `/{app}/rest/v2/broadcasts`, `/{app}/rest/v2/vods` and what belongs to them.
//!
//! Everything is read from and written to the store's records, so that any node may be asked; commands for a live
//! stream are carried to its owner ([`carry`]). Shapes, field by field, are in [`tables`]: they check bodies, fill
//! answers and make the OpenAPI schemas.
//!
//! Answers follow Ant Media's: a command is answered with 200 and a `Result`, whose `success` says how it went;
//! unknown ids are 404 without a body for a GET of one record, `success: false` for a command, an empty list for a
//! list. A value that cannot be is 400 with a `Result` that names the field and what it must be. The store away is
//! 503, an owner that did not answer 502; there is no 500.

mod body;
mod broadcast;
mod carry;
mod ending;
mod later;
mod lists;
mod params;
mod rooms;
mod settings;
mod shape;
mod statistics;
mod streams;
mod subscribers;
mod tables;
mod tokens;
mod totp;
mod tracks;
mod vods;

pub use body::BODY_BYTES_MAX;
pub(crate) use carry::carry;
pub use rooms::{FORWARD_TIMEOUT, Forward, ForwardError, Media, Rooms, Streams};
pub(crate) use shape::Misfit;

use crate::state::Shared;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Routes = OpenApiRouter<Arc<Shared>>;

/// All of it; every path begins with `/{app}`.
pub(crate) fn routes() -> Routes {
    of_streams()
        .merge(of_viewers())
        .merge(of_recordings())
        .merge(not_in_this_version())
}

fn of_streams() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(streams::create))
        .routes(routes!(streams::create_list))
        .routes(routes!(streams::one, streams::update, ending::delete))
        .routes(routes!(ending::delete_many))
        .routes(routes!(ending::stop))
        .routes(routes!(ending::start))
        .routes(routes!(lists::list))
        .routes(routes!(lists::count))
        .routes(routes!(lists::count_matching))
        .routes(routes!(lists::count_live))
        .routes(routes!(statistics::of_stream))
        .routes(routes!(statistics::of_app))
        .routes(routes!(statistics::stream_info))
        .routes(routes!(statistics::webrtc_clients))
        .routes(routes!(tracks::add, tracks::remove))
        .routes(routes!(tracks::list))
        .routes(routes!(tracks::list_active))
        .routes(routes!(tracks::count_active))
        // Ant Media's has the slash; not everybody writes it.
        .route(
            "/{app}/rest/v2/broadcasts",
            axum::routing::delete(ending::delete_many),
        )
}

fn of_viewers() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(tokens::one_time))
        .routes(routes!(tokens::signed))
        .routes(routes!(tokens::validate))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::list))
        .routes(routes!(subscribers::add, subscribers::delete_all))
        .routes(routes!(subscribers::list))
        .routes(routes!(subscribers::delete))
        .routes(routes!(subscribers::totp_code))
        .routes(routes!(subscribers::block))
        .routes(routes!(subscribers::events))
}

fn of_recordings() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(vods::one, vods::delete))
        .routes(routes!(vods::delete_many))
        .routes(routes!(vods::list))
        .routes(routes!(vods::count))
        .routes(routes!(vods::count_matching))
        .route(
            "/{app}/rest/v2/vods",
            axum::routing::delete(vods::delete_many),
        )
}

fn not_in_this_version() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(later::endpoint_add, later::endpoint_remove))
        .routes(routes!(
            later::rtmp_endpoint_add,
            later::rtmp_endpoint_remove
        ))
        .routes(routes!(later::recording))
        .routes(routes!(later::seek))
        .routes(routes!(later::playlist_next))
        .routes(routes!(later::duration))
        .routes(routes!(later::camera_error))
        .routes(routes!(later::camera_move))
        .routes(routes!(later::camera_stop))
        .routes(routes!(later::data))
        .routes(routes!(later::id3))
        .routes(routes!(later::sei))
        .routes(routes!(later::hls_to_mp4))
        .routes(routes!(later::vod_upload))
        .routes(routes!(later::vod_directory, later::vod_directory_remove))
        .routes(routes!(later::push_token))
        .routes(routes!(later::push_subscribers))
        .routes(routes!(later::push_topic))
        .routes(routes!(later::onvif))
        .routes(routes!(later::camera_profiles))
        .routes(routes!(later::subscriber_stats))
        .routes(routes!(later::webrtc_send))
        .routes(routes!(later::webrtc_receive))
        .routes(routes!(later::history))
}
