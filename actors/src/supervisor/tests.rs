//! Supervision: restarts, intensity, isolation of panics, order of the drain.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crs_types::{Clock, SystemClock};
use futures_util::FutureExt;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use super::{
    Child, ChildSpec, Intensity, PopulationError, Restart, SUPERVISOR_QUEUE, SupervisorConfig,
    SupervisorHandle,
};
use crate::handle::{Bounded, CallError, CastError, Gate, Handle, HandleSlot};
use crate::metrics::{NodeMetrics, QueueMetrics};

/// Order in which actors stopped.
type Journal = Arc<Mutex<Vec<String>>>;

struct Worker;

enum Msg {
    Panic,
    Fail,
    Stop,
    Hang,
}

struct Arguments {
    name: String,
    journal: Journal,
}

impl Actor for Worker {
    type Msg = Bounded<Msg>;
    type State = Arguments;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<Arguments, ActorProcessingErr> {
        Ok(arguments)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut Arguments,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            Msg::Panic => panic!("planted"),
            Msg::Fail => return Err("planted".into()),
            Msg::Stop => myself.stop(None),
            Msg::Hang => std::future::pending().await,
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut Arguments,
    ) -> Result<(), ActorProcessingErr> {
        state.journal.lock().unwrap().push(state.name.clone());
        Ok(())
    }
}

struct Bed {
    sup: SupervisorHandle,
    journal: Journal,
}

impl Bed {
    async fn new(intensity: Intensity, population: usize) -> Self {
        Self { sup: start(intensity, population, None).await, journal: Journal::default() }
    }

    /// Adds a static worker; the slot follows its restarts, the counter counts its starts.
    async fn worker(
        &self,
        name: &'static str,
        restart: Restart,
    ) -> (HandleSlot<Msg>, Arc<AtomicU32>) {
        let slot = HandleSlot::new();
        let starts = Arc::new(AtomicU32::new(0));
        let spec = spec(name, restart, &self.journal, &slot, &starts);
        self.sup.start_child(spec).await.unwrap();
        (slot, starts)
    }

    async fn temporary(&self, name: &str) -> Result<Handle<Msg>, PopulationError> {
        let arguments = Arguments { name: name.to_owned(), journal: Arc::clone(&self.journal) };
        let actor = self.sup.spawn(Worker, arguments).await?;
        Ok(Handle::new(actor, Gate::new(8, QueueMetrics::default())))
    }
}

fn spec(
    name: &'static str,
    restart: Restart,
    journal: &Journal,
    slot: &HandleSlot<Msg>,
    starts: &Arc<AtomicU32>,
) -> ChildSpec {
    let (journal, slot, starts) = (Arc::clone(journal), slot.clone(), Arc::clone(starts));
    ChildSpec::new(name, restart, move |sup| {
        let (slot, starts) = (slot.clone(), Arc::clone(&starts));
        let arguments = Arguments { name: name.to_owned(), journal: Arc::clone(&journal) };
        async move {
            let (actor, _) = Worker::spawn_linked(None, Worker, arguments, sup).await?;
            let child = Child::actor(&actor);
            slot.set(Handle::new(actor, Gate::new(8, QueueMetrics::default())));
            starts.fetch_add(1, Ordering::SeqCst);
            Ok(child)
        }
        .boxed()
    })
}

async fn start(
    intensity: Intensity,
    population: usize,
    parent: Option<ActorCell>,
) -> SupervisorHandle {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let config = SupervisorConfig { name: "test", intensity, population };
    SupervisorHandle::start(config, clock, &NodeMetrics::default(), parent).await.unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    // The clock is paused: each sleep passes at once when nothing else can run.
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the condition did not come true");
}

#[tokio::test(start_paused = true)]
async fn permanent_children_come_back_after_panic_failure_and_normal_end() {
    let bed = Bed::new(Intensity::default(), 0).await;
    let (slot, starts) = bed.worker("w", Restart::Permanent).await;
    for (n, message) in [(2, Msg::Panic), (3, Msg::Fail), (4, Msg::Stop)] {
        slot.try_cast(message).unwrap();
        until(|| starts.load(Ordering::SeqCst) == n).await;
    }
    assert_eq!(bed.sup.children().await.unwrap(), [("w", 3)]);
}

#[tokio::test(start_paused = true)]
async fn transient_children_come_back_only_after_failure() {
    let bed = Bed::new(Intensity::default(), 0).await;
    let (slot, starts) = bed.worker("w", Restart::Transient).await;
    slot.try_cast(Msg::Panic).unwrap();
    until(|| starts.load(Ordering::SeqCst) == 2).await;
    slot.get().unwrap().actor().kill();
    until(|| starts.load(Ordering::SeqCst) == 3).await;
    slot.try_cast(Msg::Stop).unwrap();
    slot.get().unwrap().actor().wait(None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(starts.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_takes_nobody_with_it() {
    let bed = Bed::new(Intensity::default(), 100).await;
    let (slot, _) = bed.worker("static", Restart::Permanent).await;
    let victim = bed.temporary("victim").await.unwrap();
    let other = bed.temporary("other").await.unwrap();
    assert_eq!(bed.sup.population(), 2);
    victim.try_cast(Msg::Panic).unwrap();
    victim.actor().wait(None).await.unwrap();
    until(|| bed.sup.population() == 1).await;
    other.try_cast(Msg::Stop).unwrap();
    other.actor().wait(None).await.unwrap();
    until(|| bed.sup.population() == 0).await;
    assert!(slot.try_cast(Msg::Stop).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_population_has_a_limit() {
    let bed = Bed::new(Intensity::default(), 1).await;
    let first = bed.temporary("a").await.unwrap();
    assert!(matches!(bed.temporary("b").await, Err(PopulationError::Full { limit: 1, .. })));
    first.try_cast(Msg::Stop).unwrap();
    until(|| bed.sup.population() == 0).await;
    bed.temporary("c").await.unwrap();
}

/// All are asked in one go on the only thread, so the supervisor answers none meanwhile.
#[tokio::test]
async fn requests_beyond_a_supervisors_queue_are_refused() {
    let bed = Bed::new(Intensity::default(), 0).await;
    let asked = (0..SUPERVISOR_QUEUE + 3).map(|_| bed.sup.children());
    let answers = futures_util::future::join_all(asked).await;
    let full = Err(CallError::Cast(CastError::Full));
    assert_eq!(answers.iter().filter(|answer| **answer == full).count(), 3);
    assert!(bed.sup.children().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_linked_supervisor_that_gives_up_takes_its_parent_along() {
    let root = start(Intensity::default(), 0, None).await;
    let intensity = Intensity { restarts: 2, ..Intensity::default() };
    let below = start(intensity, 0, Some(root.cell())).await;
    let bed = Bed { sup: below, journal: Journal::default() };
    let (slot, starts) = bed.worker("w", Restart::Permanent).await;
    for n in 1..=3 {
        until(|| starts.load(Ordering::SeqCst) == n).await;
        assert!(root.is_running());
        slot.try_cast(Msg::Panic).unwrap();
    }
    root.wait().await;
    assert_eq!(starts.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_or_panics_is_run_again_and_stops_with_its_actor() {
    let bed = Bed::new(Intensity::default(), 0).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let spec = super::task_child("t", Restart::Permanent, move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match run {
                0 => "cannot go on".to_owned(),
                1 => panic!("planted"),
                _ => std::future::pending().await,
            }
        }
        .boxed()
    });
    bed.sup.start_child(spec).await.unwrap();
    until(|| runs.load(Ordering::SeqCst) == 3).await;
    bed.sup.drain(Duration::from_secs(1)).await.unwrap();
    assert_eq!(Arc::strong_count(&runs), 1);
}

#[tokio::test(start_paused = true)]
async fn the_root_ends_when_it_gives_up() {
    let bed = Bed::new(Intensity { restarts: 0, ..Intensity::default() }, 0).await;
    let (slot, _) = bed.worker("store", Restart::Permanent).await;
    slot.try_cast(Msg::Panic).unwrap();
    bed.sup.wait().await;
}

#[tokio::test(start_paused = true)]
async fn drain_ends_leaves_first_then_children_in_reverse_order() {
    let bed = Bed::new(Intensity::default(), 10).await;
    bed.worker("first", Restart::Permanent).await;
    bed.worker("second", Restart::Permanent).await;
    bed.temporary("leaf").await.unwrap();
    bed.sup.drain(Duration::from_secs(10)).await.unwrap();
    assert_eq!(*bed.journal.lock().unwrap(), ["leaf", "second", "first"]);
}

#[tokio::test(start_paused = true)]
async fn drain_kills_what_does_not_stop_and_still_stops_the_rest() {
    let bed = Bed::new(Intensity::default(), 10).await;
    bed.worker("first", Restart::Permanent).await;
    let (stuck, _) = bed.worker("stuck", Restart::Permanent).await;
    stuck.try_cast(Msg::Hang).unwrap();
    bed.temporary("leaf").await.unwrap().try_cast(Msg::Hang).unwrap();
    bed.sup.drain(Duration::from_secs(20)).await.unwrap();
    assert_eq!(*bed.journal.lock().unwrap(), ["first"]);
}
