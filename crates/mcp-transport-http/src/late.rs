//! Answers that are begun before they are known: clients give up what is silent for a minute, and
//! proxies cut it (Streamable HTTP: the answer to a request is JSON or a stream of events).
//!
//! The head is sent, then a sign of life at once and every few seconds, then the answer. Who takes no
//! events gets blanks, which mean nothing in front of JSON (RFC 8259 section 2). The work is done by
//! whoever reads the body: dropping that ends it, as hanging up does before the head is sent.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Mutex, PoisonError},
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

use crate::{
    accept::Form, access_log::AccessLine, body::BoxedBody, memory::MemoryCharge,
    observe::RequestObserver,
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
    /// What the body of the request is charged for.
    pub(crate) charge: Option<MemoryCharge>,
}

impl Late {
    /// The answer, whose body does the rest of the work.
    pub(crate) fn begin(self) -> Response<BoxedBody> {
        let form = self.form;
        let work = async move { form.put(self.work.await).await };
        // There is no interval of 0.
        let mut signs = interval(self.keep_alive.max(Duration::from_millis(1)));
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let body = LateBody {
            stage: Stage::Working(Mutex::new(Box::pin(work))),
            form,
            signs,
            begun: self.begun,
            line: Some(self.line),
            observer: self.observer,
            _charge: self.charge,
        };
        let mut response = Response::new(body.boxed());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, form.content_type());
        // Nobody on the way may hold it back.
        let untouched = HeaderValue::from_static("no-cache, no-transform");
        headers.insert(CACHE_CONTROL, untouched);
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

struct LateBody {
    stage: Stage,
    form: Form,
    signs: Interval,
    begun: Instant,
    line: Option<AccessLine>,
    observer: Option<RequestObserver>,
    _charge: Option<MemoryCharge>,
}

enum Stage {
    /// Never locked: bodies must be `Sync`, and futures are not.
    Working(Mutex<Work>),
    Answering(BoxedBody),
}

impl LateBody {
    /// The answer is there. Its status came too late for the head, and says what came of the call.
    fn answered(&mut self, answer: Response<BoxedBody>) {
        if let Some(line) = &mut self.line {
            line.handled(self.begun.elapsed());
            line.outcome_by(answer.status());
        }
        self.stage = Stage::Answering(answer.into_body());
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
            let work = work.get_mut().unwrap_or_else(PoisonError::into_inner);
            match work.as_mut().poll(context) {
                Poll::Ready(answer) => self.answered(answer),
                Poll::Pending => {
                    ready!(self.signs.poll_tick(context));
                    let sign = Bytes::from_static(sign_of_life(self.form));
                    return Poll::Ready(Some(Ok(Frame::data(sign))));
                }
            }
        }
        let Stage::Answering(body) = &mut self.stage else {
            return Poll::Pending;
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
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
    use std::sync::Arc;

    use http::{HeaderMap, Method};
    use tokio::sync::oneshot;

    use super::*;
    use crate::body;

    const PERIOD: Duration = Duration::from_secs(10);

    fn late(
        form: Form,
        observer: RequestObserver,
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
        let (answer, mut body) = late(Form::Events, Arc::new(|_| ()));
        next(&mut body).await.unwrap();
        assert!(!answer.is_closed());
        drop(body);
        assert!(answer.is_closed());
    }
}
