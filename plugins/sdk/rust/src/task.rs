//! Runs the futures of requests. An instance runs one at a time, when the node
//! calls it: a future is polled when its request begins, and again with each
//! answer to one of its fetches.

use crate::fetch::Slot;
use crate::{abi, Config, Error, Item};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

type Task = Pin<Box<dyn Future<Output = Result<Item, Error>>>>;
type Get = Rc<dyn Fn(Vec<u8>) -> Task>;

#[derive(Default)]
struct Instance {
    get: RefCell<Option<Get>>,
    tasks: RefCell<HashMap<i32, Task>>, // by request
    calls: RefCell<HashMap<i32, Weak<Slot>>>,
    current: Cell<i32>, // request
}

thread_local! {
    static INSTANCE: Instance = Instance::default();
}

/// The request whose future is polled.
pub(crate) fn current() -> i32 {
    INSTANCE.with(|i| i.current.get())
}

/// Notes where the answer to a call is put.
pub(crate) fn expect(call: i32, slot: &Rc<Slot>) {
    INSTANCE.with(|i| i.calls.borrow_mut().insert(call, Rc::downgrade(slot)));
}

pub(crate) fn forget(call: i32) {
    // There is nothing to forget when the instance itself ends.
    let _ = INSTANCE.try_with(|i| i.calls.borrow_mut().remove(&call));
}

/// What `gcnode_configure` does. [`getter!`](crate::getter) calls it.
///
/// The type of `get` is its own, so that its future is made where it stays:
/// one that a pointer to a function returns would be copied with all the room
/// that it needs later.
pub fn configure<T, G, F>(open: fn(&Config) -> Result<T, String>, get: G) -> i32
where
    T: 'static,
    G: Fn(Rc<T>, Vec<u8>) -> F + 'static,
    F: Future<Output = Result<Item, Error>> + 'static,
{
    std::panic::set_hook(Box::new(|info| crate::log(crate::Level::Error, &info.to_string())));
    match open(&Config(())) {
        Ok(state) => {
            let state = Rc::new(state);
            let get: Get = Rc::new(move |key| Box::pin(get(state.clone(), key)));
            INSTANCE.with(|i| i.get.replace(Some(get)));
            0
        }
        Err(reason) => {
            crate::log(crate::Level::Error, &reason);
            1
        }
    }
}

/// What `gcnode_get` does.
pub fn begin(req: i32, key_len: i32) -> i32 {
    let get = INSTANCE.with(|i| i.get.borrow().clone()).expect("the node has not configured the getter");
    poll(req, get(abi::read(req, key_len)))
}

/// What `gcnode_get_many` does.
pub fn begin_many(base: i32, count: i32) -> i32 {
    (base..base + count).map(|req| begin(req, abi::size(req))).max().unwrap_or(0)
}

/// What `gcnode_resume` does.
pub fn resume(req: i32, call: i32, len: i32) -> i32 {
    let slot = INSTANCE.with(|i| i.calls.borrow_mut().remove(&call)).and_then(|s| s.upgrade());
    if let Some(slot) = slot {
        slot.replace(Some(abi::read(call, len)));
    }
    let task = INSTANCE.with(|i| i.tasks.borrow_mut().remove(&req));
    task.map_or(0, |task| poll(req, task))
}

/// What `gcnode_cancel` does.
pub fn cancel(req: i32) {
    let task = INSTANCE.with(|i| i.tasks.borrow_mut().remove(&req));
    drop(task); // which may forget calls
}

/// Lets a request go on, and returns what an export returns for it.
fn poll(req: i32, mut task: Task) -> i32 {
    INSTANCE.with(|i| i.current.set(req));
    let waker = unsafe { Waker::from_raw(nobody()) };
    let outcome = task.as_mut().poll(&mut Context::from_waker(&waker));
    match outcome {
        Poll::Pending => {
            INSTANCE.with(|i| i.tasks.borrow_mut().insert(req, task));
            return 1;
        }
        Poll::Ready(Ok(item)) => abi::respond(req, 0, item.ttl.millis(), &item.value),
        Poll::Ready(Err(e)) => abi::respond(req, e.kind as i32, e.ttl.millis(), e.message.as_bytes()),
    }
    0
}

/// A waker of nobody: the node knows by itself when to call again.
fn nobody() -> RawWaker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(|_| nobody(), |_| {}, |_| {}, |_| {});
    RawWaker::new(core::ptr::null(), &TABLE)
}

/// Waits for all futures, which go on at the same time, and returns their
/// results in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    Joined { running: futures.into_iter().map(|f| (Some(Box::pin(f)), None)).collect() }.await
}

struct Joined<F: Future> {
    running: Vec<(Option<Pin<Box<F>>>, Option<F::Output>)>,
}

impl<F: Future> Unpin for Joined<F> {}

impl<F: Future> Future for Joined<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut ready = true;
        for (future, result) in &mut self.running {
            if let Some(f) = future {
                match f.as_mut().poll(cx) {
                    Poll::Pending => ready = false,
                    Poll::Ready(r) => {
                        *result = Some(r);
                        *future = None;
                    }
                }
            }
        }
        if !ready {
            return Poll::Pending;
        }
        Poll::Ready(self.running.drain(..).filter_map(|(_, result)| result).collect())
    }
}
