//! What every store must do, whatever it keeps its records in.
//!
//! Each function is one clause and runs on an empty store. [`contract_tests!`] makes a test of
//! every clause for one implementation;
//! [`with_every_clause!`] serves those that need more care.

mod adoption;
mod leases;
mod nodes_and_races;
mod ownership;
mod record_lists;
mod record_races;
mod records;

pub(crate) use adoption::*;
pub(crate) use leases::*;
pub(crate) use nodes_and_races::*;
pub(crate) use ownership::*;
pub(crate) use record_lists::*;
pub(crate) use record_races::*;
pub(crate) use records::*;

use std::any::Any;
use std::sync::Arc;
use weir_cluster::{
    Broadcast, BroadcastStatus, Claim, EpochEnd, ManualClock, NodeFigures, NodeRecord, NodeRole,
    Store, StreamKey, Viewers,
};

pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// An empty store, the clock it judges by, and whatever must live as long as it.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) _keep: Box<dyn Any + Send>,
}

/// Hands the names of all clauses to another macro.
macro_rules! with_every_clause {
    ($then:ident) => {
        $then!(
            unknown_streams_and_nodes_are_none,
            a_claim_makes_a_record_and_an_epoch,
            a_living_owner_keeps_its_stream,
            a_dead_owners_stream_is_taken_beyond_its_numbers,
            the_same_node_takes_its_stream_again,
            a_released_stream_runs_on_where_it_ended,
            a_zombi_ends_with_its_stream,
            reports_change_figures_only,
            an_old_epoch_is_fenced,
            a_released_epoch_holds_nothing,
            a_starting_node_frees_what_it_left_behind,
            nodes_are_listed_and_forgotten,
            streams_are_listed_by_application_in_order,
            of_fifty_nodes_one_wins,
            of_two_nodes_with_fifty_tasks_one_wins,
            epochs_and_numbers_never_repeat,
            changes_are_told,
            a_lease_is_renewed_by_the_stores_clock,
            a_lapsed_owners_stream_is_free_to_who_may_judge,
            who_was_away_itself_judges_nobody,
            an_owner_that_gave_its_lease_up_is_gone_at_once,
            an_epoch_begun_without_the_store_is_adopted,
            of_two_epochs_begun_without_the_store_the_higher_wins,
            discontinuities_run_on,
            a_node_gone_for_good_is_swept,
            who_may_not_judge_sweeps_nothing,
            every_kind_is_kept_read_and_deleted,
            a_patch_sets_what_it_names_and_a_put_replaces,
            a_broadcasts_record_is_the_streams,
            a_live_broadcast_keeps_its_owner_whatever_rest_does,
            lists_are_sorted_and_paged,
            lists_are_filtered,
            what_matches_is_counted_and_deleted,
            broadcasts_are_listed_and_deleted_as_records,
            of_fifty_inserts_and_deletes_one_wins,
            patches_and_sums_at_once_all_count,
            reports_and_patches_at_once_both_count,
            nothing_said_is_taken_for_an_order,
            what_no_store_can_hold_is_refused_alike,
            wrong_types_cost_themselves,
            record_changes_are_told,
            counters_add_up_and_events_pile_up,
        );
    };
}
pub(crate) use with_every_clause;

/// A test of every clause, for a store that is cheap to make.
macro_rules! contract_tests {
    ($($clause:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $clause() {
            crate::contract::$clause(&fixture().await).await;
        })+
    };
}
pub(crate) use contract_tests;

pub(crate) fn key(id: &str) -> StreamKey {
    StreamKey::parse("LiveApp", id).unwrap()
}

pub(crate) fn claim(id: &str, node: &str, now_ms: i64) -> Claim {
    Claim {
        key: key(id),
        node_id: node.to_owned(),
        origin_adress: format!("{node}:5082"),
        now_ms,
        segment_duration_ms: 2_000,
        broadcast: Broadcast {
            status: BroadcastStatus::Broadcasting,
            zombi: true,
            ..Broadcast::default()
        },
    }
}

pub(crate) fn made_by_rest(mut claim: Claim) -> Claim {
    claim.broadcast.zombi = false;
    claim
}

pub(crate) const fn end(next_sequence_number: u64, wall_clock_ms: i64) -> EpochEnd {
    EpochEnd {
        next_sequence_number,
        next_discontinuity_sequence: 0,
        media_time_ms: wall_clock_ms - START_MS,
        wall_clock_ms,
    }
}

pub(crate) fn node(id: &str, last_update_time: i64) -> NodeRecord {
    NodeRecord {
        id: id.to_owned(),
        ip: "127.0.0.1".to_owned(),
        role: NodeRole::Origin,
        last_update_time,
        memory: "512/2048".to_owned(),
        cpu: "7".to_owned(),
        db_query_average_time_ms: 1,
        version: "0.1.0".to_owned(),
        ..NodeRecord::default()
    }
}

/// `node` with every figure set.
pub(crate) fn busy(node: NodeRecord) -> NodeRecord {
    let figures = NodeFigures {
        node_group: Some("north".to_owned()),
        http_address: Some("127.0.0.1:5080".to_owned()),
        rtmp_address: Some("127.0.0.1:1935".to_owned()),
        streams: 3,
        viewers: Viewers {
            hls: 1,
            dash: 2,
            webrtc: 3,
            rtmp: 4,
        },
        ingress_mbps: 8.5,
        egress_mbps: 900.0,
        draining: true,
    };
    figures.in_record(node)
}

pub(crate) async fn record(store: &dyn Store, id: &str) -> Broadcast {
    store.broadcast(&key(id)).await.unwrap().unwrap()
}
