//! Readers never follow an older epoch, in whatever order words about a stream arrive.

use super::bench::{Bench, NOW_MS, key, live, settle, telling_bench};
use crate::types::{Broadcast, BroadcastStatus};
use proptest::prelude::*;

/// What somebody says of the stream.
#[derive(Clone, Debug)]
enum Word {
    /// A change, in or out of order: live under this epoch.
    ToldLive(u64),
    /// A change: its record was deleted.
    ToldGone,
    /// A change: nobody owns it.
    ToldFinished,
    /// The source answers this from now on, and somebody asks it.
    Asked(Option<u64>),
    /// Time passes.
    Wait(u64),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => (1..20_u64).prop_map(Word::ToldLive),
        1 => Just(Word::ToldGone),
        1 => Just(Word::ToldFinished),
        3 => proptest::option::weighted(0.8, 1..20_u64).prop_map(Word::Asked),
        2 => (1..3_000_u64).prop_map(Word::Wait),
    ]
}

fn finished() -> Broadcast {
    Broadcast {
        owner: None,
        status: BroadcastStatus::Finished,
        ..live("x:1", 0, NOW_MS)
    }
}

async fn say(bench: &Bench, word: &Word) -> Option<u64> {
    let under = |epoch: u64| live(&format!("{epoch}:1"), epoch, NOW_MS);
    match word {
        Word::ToldLive(epoch) => bench.source.tell("s", Some(under(*epoch))),
        Word::ToldGone => bench.source.tell("s", None),
        Word::ToldFinished => bench.source.tell("s", Some(finished())),
        Word::Asked(epoch) => {
            bench.source.answer("s", epoch.map(under));
            let asked = bench.directory.refresh(&key("s")).await.unwrap();
            return asked.map(|found| found.epoch);
        }
        Word::Wait(ms) => bench.wait_ms(*ms).await,
    }
    settle().await;
    None
}

proptest! {
    #[test]
    fn an_epoch_never_goes_back(words in proptest::collection::vec(word(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let bench = telling_bench().await;
            let mut newest = 0;
            for word in &words {
                let answered = say(&bench, word).await;
                let located = bench.locate("s").await;
                for epoch in answered.into_iter().chain(located.as_ref().map(|f| f.epoch)) {
                    assert!(epoch >= newest, "{epoch} after {newest} at {word:?}");
                    newest = newest.max(epoch);
                }
                if let (Word::ToldLive(epoch), Some(found)) = (word, &located)
                    && *epoch >= newest
                {
                    assert_eq!(*found.origin_adress, format!("{epoch}:1"), "news is followed");
                }
            }
        });
    }
}
