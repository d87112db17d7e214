//! Answers that are begun before they are known: clients give up what is silent for a minute, and
//! proxies cut it (Streamable HTTP: the answer to a request is JSON or a stream of events).
//!
//! The head is sent, then a sign of life at once and every few seconds, then the answer. Who takes no
//! events gets blanks, which mean nothing in front of JSON (RFC 8259 section 2). The work goes on in a
//! task of its own, for a client that does not read must not hold what the work holds; dropping the body
//! ends it, as hanging up does before the head is sent.

use std::{
    convert::Infallible,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::{
    accept::Form,
    access_log::AccessLine,
    body::BoxedBody,
    memory::{Half, MemoryBudget, MemoryCharge, MemoryUser},
    observe::RequestObserver,
    sent::size_of,
};

/// What is still to be done for an answer.
pub(crate) type Work = Pin<Box<dyn Future<Output = Response<BoxedBody>> + Send>>;

/// What comes of the work; `Err` is the work, where it takes longer than this.
pub(crate) async fn within<F: Future + Unpin>(mut work: F, time: Duration) -> Result<F::Output, F> {
    tokio::select! {
        biased;
        done = &mut work => Ok(done),
        () = sleep(time) => Err(work),
    }
}

/// An answer that is late.
pub(crate) struct Late {
    pub(crate) work: Work,
    pub(crate) form: Form,
    /// Longest time without a sign of life.
    pub(crate) keep_alive: Duration,
    /// When the work began.
    pub(crate) begun: Instant,
    /// It ends with the answer.
    pub(crate) line: AccessLine,
    pub(crate) observer: Option<RequestObserver>,
    /// What the body of the request is charged for, as long as it is worked on.
    pub(crate) charge: Option<Arc<MemoryCharge>>,
    /// What the answer is counted to until it is read, and whose it is.
    pub(crate) memory: MemoryBudget,
    pub(crate) user: MemoryUser,
}

impl Late {
    /// The answer, whose body waits for the rest of the work.
    pub(crate) fn begin(self) -> Response<BoxedBody> {
        let form = self.form;
        let work = async move {
            let answer = form.put(self.work.await).await;
            drop(self.charge);
            let size = size_of(&answer).unwrap_or_default();
            Finished {
                answer,
                took: self.begun.elapsed(),
                charge: self.memory.count(Half::Work, Some(self.user), size),
            }
        };
        let work = tokio::spawn(work.in_current_span());
        // There is no interval of 0.
        let mut signs = interval(self.keep_alive.max(Duration::from_millis(1)));
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let body = LateBody {
            stage: Stage::Working(AbortOnDropHandle::new(work)),
            form,
            signs,
            line: Some(self.line),
            observer: self.observer,
        };
        head(form, body.boxed())
    }
}

fn head(form: Form, body: BoxedBody) -> Response<BoxedBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    // Nobody on the way may hold it back.
    let untouched = HeaderValue::from_static("no-cache, no-transform");
    headers.insert(CACHE_CONTROL, untouched);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct LateBody {
    stage: Stage,
    form: Form,
    signs: Interval,
    line: Option<AccessLine>,
    observer: Option<RequestObserver>,
}

enum Stage {
    Working(AbortOnDropHandle<Finished>),
    Answering {
        body: BoxedBody,
        /// Until its first part is handed on, which is counted by itself.
        unread: Option<MemoryCharge>,
    },
}

/// What came of the work.
struct Finished {
    answer: Response<BoxedBody>,
    took: Duration,
    charge: MemoryCharge,
}

impl LateBody {
    /// The answer is there. Its status came too late for the head, and says what came of the call.
    fn answered(&mut self, finished: Finished) {
        if let Some(line) = &mut self.line {
            line.handled(finished.took);
            line.outcome_by(finished.answer.status());
        }
        self.stage = Stage::Answering {
            body: finished.answer.into_body(),
            unread: Some(finished.charge),
        };
    }

    fn ended(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.finish(StatusCode::OK, self.observer.as_ref());
        }
    }
}

impl Body for LateBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Stage::Working(work) = &mut self.stage {
            match Pin::new(work).poll(context) {
                Poll::Ready(Ok(finished)) => self.answered(finished),
                Poll::Ready(Err(error)) => match error.try_into_panic() {
                    // The connection breaks off: whatever else came would look like an answer.
                    Ok(panic) => resume_unwind(panic),
                    // The runtime ends, and all of this with it.
                    Err(_) => return Poll::Pending,
                },
                Poll::Pending => {
                    ready!(self.signs.poll_tick(context));
                    let sign = Bytes::from_static(sign_of_life(self.form));
                    return Poll::Ready(Some(Ok(Frame::data(sign))));
                }
            }
        }
        let Stage::Answering { body, unread } = &mut self.stage else {
            return Poll::Pending;
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        drop(unread.take());
        if frame.is_none() {
            self.ended();
        }
        Poll::Ready(frame)
    }
}

/// What means nothing, but is a byte.
fn sign_of_life(form: Form) -> &'static [u8] {
    match form {
        Form::Events => b": waiting\n\n",
        Form::Document => b"\n",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, Method};
    use tokio::sync::oneshot;

    use super::*;
    use crate::body;

    const PERIOD: Duration = Duration::from_secs(10);

    fn late(
        form: Form,
        observer: RequestObserver,
        memory: &MemoryBudget,
    ) -> (oneshot::Sender<Response<BoxedBody>>, BoxedBody) {
        let (answer, answered) = oneshot::channel();
        let late = Late {
            work: Box::pin(async move { answered.await.unwrap() }),
            form,
            keep_alive: PERIOD,
            begun: Instant::now(),
            line: AccessLine::start(None, &Method::POST, "mcp", None, &HeaderMap::new()),
            observer: Some(observer),
            charge: None,
            memory: memory.clone(),
            user: memory.user("https://issuer", "ada", None),
        };
        (answer, late.begin().into_body())
    }

    async fn next(body: &mut BoxedBody) -> Option<Bytes> {
        let frame = body.frame().await?.unwrap();
        Some(frame.into_data().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_at_once_and_then_in_time_until_the_answer_does() {
        for (form, sign, expected) in [
            (
                Form::Events,
                ": waiting\n\n",
                "event: message\ndata: {}\n\n",
            ),
            (Form::Document, "\n", "{}"),
        ] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let observed = Arc::clone(&told);
            let (answer, mut body) = late(
                form,
                Arc::new(move |request| observed.lock().unwrap().push(request.status)),
                &MemoryBudget::new(1 << 20),
            );
            let begun = tokio::time::Instant::now();
            for signs in 0..3 {
                assert_eq!(next(&mut body).await.unwrap(), sign);
                assert_eq!(begun.elapsed().as_secs(), signs * PERIOD.as_secs());
            }
            answer.send(Response::new(body::full("{}"))).unwrap();
            assert_eq!(next(&mut body).await.unwrap(), expected);
            assert!(told.lock().unwrap().is_empty());
            assert_eq!(next(&mut body).await, None);
            assert_eq!(*told.lock().unwrap(), [200]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_waited_for_no_longer_than_that_and_not_lost() {
        let work = Box::pin(async {
            sleep(PERIOD).await;
            7
        });
        let Err(rest) = within(work, PERIOD / 2).await else {
            panic!("it was early");
        };
        assert_eq!(rest.await, 7);
        assert!(within(std::future::ready(7), Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn dropping_the_body_drops_the_work() {
        let memory = MemoryBudget::new(1 << 20);
        let (mut answer, mut body) = late(Form::Events, Arc::new(|_| ()), &memory);
        next(&mut body).await.unwrap();
        assert!(!answer.is_closed());
        drop(body);
        answer.closed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_finished_and_counted() {
        for is_read in [true, false] {
            let memory = MemoryBudget::new(1 << 20);
            let (answer, mut body) = late(Form::Document, Arc::new(|_| ()), &memory);
            answer.send(Response::new(body::full("{}"))).unwrap();
            // Time passes when there is nothing else to do.
            sleep(PERIOD).await;
            assert_eq!(memory.usage().used, 2);
            if is_read {
                assert_eq!(next(&mut body).await.unwrap(), "{}");
            } else {
                drop(body);
                sleep(PERIOD).await;
            }
            assert_eq!(memory.usage().used, 0);
        }
    }
}
