//! `subscriptions/listen` for tasks: who listens is told when the status of a task changes.
//!
//! A task may be worked on by any instance, so its record is looked at, as if its owner had asked. What
//! changed back between two looks is not told.

use std::{collections::HashSet, time::SystemTime};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientCapabilities, CustomNotification, CustomRequest, CustomResult, DetailedTask,
        ErrorCode, NotificationMetaObject, RequestId, ServerNotification,
        SubscriptionsListenResult, TaskStatus, TaskStatusNotification,
        TaskStatusNotificationParams,
    },
    service::{Peer, RequestContext},
};
use serde_json::json;
use tokio::time::sleep;

use super::{
    super::{ToolSet, handler::custom, whole::unwrapped},
    TaskOwner,
    answer::POLL,
    work::forget_meta,
};

/// To how many tasks one request may listen: as many as an owner may have by default.
const MAX_IDS: usize = 64;

/// A task that is listened to, and what was told of it last.
struct Heard {
    id: String,
    status: TaskStatus,
}

impl ToolSet {
    /// Listens until the client has enough, the server stops, or the caller's login or the last of the
    /// tasks must be over.
    pub(in super::super) async fn listen(
        &self,
        request: CustomRequest,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let declared = context.meta.client_capabilities();
        if !declared.is_some_and(|it| it.supports_tasks()) {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        let ids = ids_of(&request)?;
        // It listens for long: nothing else that was said is held meanwhile.
        drop(request);
        forget_meta(&mut context);
        let owner = self.task_owner(&context).await?;
        let listeners = &self.shared.listeners;
        // One that hears nothing holds a stream all the same.
        let Some(_place) = listeners.enter(&owner, ids.len().max(1)) else {
            let text = "you listen to as many tasks as you may: end another subscription first";
            return Err(ErrorData::new(ErrorCode(-32000), text, None));
        };
        let mut heard = Vec::new();
        for id in ids {
            if self.looked_at(&owner, &id, &context).await?.is_some() {
                // As each begins: whatever else it is by now is told.
                let status = TaskStatus::Working;
                heard.push(Heard { id, status });
            }
        }
        let stream = Stream::of(&context);
        stream.acknowledge(&heard).await;
        let at_most = owner
            .caller
            .left(SystemTime::now())
            .min(self.tasks()?.ttl());
        tokio::select! {
            () = self.tell(heard, &owner, &context, &stream) => {}
            () = context.ct.cancelled() => {}
            () = listeners.over() => {}
            () = owner.caller.over() => {}
            () = sleep(at_most) => {}
        }
        let mut result = SubscriptionsListenResult::complete(context.id.clone());
        for (name, value) in self.shared.stamp.iter() {
            result.meta.insert(name.clone(), value.clone());
        }
        custom(&result)
    }

    /// Tells of every change; ends when nobody hears it.
    async fn tell(
        &self,
        mut heard: Vec<Heard>,
        owner: &TaskOwner,
        context: &RequestContext<RoleServer>,
        stream: &Stream,
    ) {
        while !heard.is_empty() {
            let mut going_on = Vec::new();
            for mut one in heard {
                match self.looked_at(owner, &one.id, context).await {
                    Ok(Some(task)) => {
                        let status = task.status();
                        if status != one.status && !stream.tell(task).await {
                            return;
                        }
                        one.status = status;
                    }
                    // It is not kept any more.
                    Ok(None) => continue,
                    Err(error) => tracing::debug!(%error, "a task is looked at later"),
                }
                if !one.status.is_terminal() {
                    going_on.push(one);
                }
            }
            heard = going_on;
            sleep(POLL).await;
        }
        // Nothing more will come, but it is the client's to say that it has enough.
        std::future::pending::<()>().await;
    }

    /// A task as its owner would get it now; nothing where there is none for them.
    async fn looked_at(
        &self,
        owner: &TaskOwner,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Option<DetailedTask>, ErrorData> {
        match self.detailed(owner, id, context).await {
            Ok(task) => Ok(Some(task)),
            Err(error) if error.code == ErrorCode::INTERNAL_ERROR => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// The ids in the filter, each once.
fn ids_of(request: &CustomRequest) -> Result<Vec<String>, ErrorData> {
    let filter = unwrapped(request).and_then(|params| params.get("notifications"));
    let ids = filter.and_then(|filter| filter.get("taskIds"));
    let ids: Option<Vec<String>> = ids.and_then(|ids| serde_json::from_value(ids.clone()).ok());
    let mut known = HashSet::new();
    let each_once = |mut ids: Vec<String>| {
        ids.retain(|id| known.insert(id.clone()));
        ids
    };
    let ids = ids.map(each_once).filter(|ids| ids.len() <= MAX_IDS);
    ids.ok_or_else(|| {
        let text = format!("taskIds is a list of {MAX_IDS} ids at most, each a text");
        ErrorData::invalid_params(text, None)
    })
}

/// The way to who listens.
struct Stream {
    peer: Peer<RoleServer>,
    id: RequestId,
}

impl Stream {
    fn of(context: &RequestContext<RoleServer>) -> Self {
        Self {
            peer: context.peer.clone(),
            id: context.id.clone(),
        }
    }

    /// Says which tasks are listened to. The SDK's own notification has no place for them.
    async fn acknowledge(&self, heard: &[Heard]) {
        let ids: Vec<_> = heard.iter().map(|one| &*one.id).collect();
        let method = "notifications/subscriptions/acknowledged";
        let params = json!({"_meta": self.meta(), "notifications": {"taskIds": ids}});
        let said = CustomNotification::new(method, Some(params));
        self.send(ServerNotification::CustomNotification(said))
            .await;
    }

    /// Whether it could be told.
    async fn tell(&self, task: DetailedTask) -> bool {
        let params = TaskStatusNotificationParams::new(task).with_meta(self.meta());
        let told = TaskStatusNotification::new(params);
        self.send(ServerNotification::TaskStatusNotification(told))
            .await
    }

    fn meta(&self) -> NotificationMetaObject {
        let mut meta = NotificationMetaObject::new();
        meta.set_subscription_id(self.id.clone());
        meta
    }

    async fn send(&self, notification: ServerNotification) -> bool {
        self.peer.send_notification(notification).await.is_ok()
    }
}
