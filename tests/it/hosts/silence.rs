//! A link that dies without a word: nothing that was confirmed meanwhile is lost.

use std::sync::Arc;

use crs_client::{Client, Event, ReceivedMessage};

use super::pool::{Pool, wait};
use super::world::inside;
use crate::bed::{PATIENCE, until};

/// Messages posted while the receiver is cut off.
const POSTS: usize = 20;

/// PR-19: the server finds out within two keep-alive periods, and what was posted before and
/// after it did arrives once, in order, when the client is back.
#[test]
fn messages_to_a_client_whose_link_has_died_are_kept() {
    inside("hosts::silence::messages_to_a_client_whose_link_has_died_are_kept", |mut world| {
        let (server, office, phone) =
            (world.host("server"), world.host("office"), world.host("phone"));
        let pool = Pool::start(&server, 2, &["keep-alive 0.0.0.0/0 ws 1000 1000"]);
        let (alice, bob) = (pool.client(&office, 0), pool.client(&phone, 1));
        let to = pool.users.identities[1].uri.clone();
        world.pull(&phone);
        // Bob's registration is still there for the first of them.
        assert!(pool.attached(&to), "the node cannot know yet");
        let (sender, receiver) = (Arc::clone(&alice), to.clone());
        wait(office.spawn(async move {
            for n in 0..POSTS {
                let text = format!("number {n}");
                let confirmed = sender.send_confirmed(&receiver, text.as_bytes(), PATIENCE).await;
                confirmed.expect("confirmed though nobody is there");
            }
        }));
        pool.until_detached(&to);
        world.plug(&phone);
        wait(phone.spawn(async move {
            let bob_self = to;
            for n in 0..POSTS {
                let message = next_message(&bob).await;
                assert_eq!(message.content, Ok(format!("number {n}").into_bytes()));
                bob.done(message.seq).await.expect("acknowledged");
            }
            bob.send_confirmed(&bob_self, b"last", PATIENCE).await.expect("to himself");
            assert_eq!(
                next_message(&bob).await.content,
                Ok(b"last".to_vec()),
                "nothing came twice"
            );
        }));
    });
}

async fn next_message(client: &Client) -> ReceivedMessage {
    until(
        client,
        |event| {
            if let Event::Message(message) = event { Some(message.clone()) } else { None }
        },
    )
    .await
}
