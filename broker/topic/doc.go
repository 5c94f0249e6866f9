// Package topic holds the rules of Topic Names and Topic Filters [MQTT-4.7]
// and two generic trees over them: Filters is found by name (subscriptions),
// Names is found by filter (retained messages).
//
// It refuses to know what hangs on a topic: no sessions, no messages, no
// access control, no normalization [MQTT-4.7.3-4]. $share/{group}/ is taken
// apart by Share; the trees and Match work on the filter behind it.
//
// A topic may have 65535 bytes and as many levels. All walks here are loops
// over parent and sibling pointers: no recursion, no stack that a peer can
// grow, and every node of a tree is visited at most once.
//
// Locks: none. A tree is not safe for concurrent use with a writer; the owner
// locks. Readers alone may run side by side.
package topic
