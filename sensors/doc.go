// Package sensors runs devices: it reads drivers, passes what they read
// through filters and publishes it as retained topics with a truthful
// availability; it carries commands to outputs and answers with what the
// hardware confirms. DESIGN.md says why it works as it does.
//
// It refuses to publish a value that did not come from a reading, to say
// online before the values are out, to repeat a reading of a sensor that has
// gone silent, and to carry out commands that were retained before it
// started. It knows no broker, only the Session that Options.Attach opens;
// no hardware, only Buses; no configuration, only Options.
//
//	driver -> call -> take -> Pipeline -> settle -> Session.Publish
//	Session.Next -> dispatcher -> inbox -> accept -> start -> Commander.Do -> settle, reply
//	describe -> registry (on disk) -> Discovery.Describe -> Session.Publish
//
// Each device has one owner: not a goroutine but a turn that whoever brings
// news takes, one at a time (turn.go): the alarm, and every call that returns.
// A driver method runs between turns (call.go), at most one at a time, so that
// one that never returns holds up neither its device's truth nor another device;
// when devices share a bus, at most one per bus. Close alone may run beside a
// call that hangs. One goroutine, the dispatcher, brings what arrives for all
// devices with outputs (inbox.go).
//
// Locks: one guards the list of owners, one the values that interlocks look at,
// one each dead man's handle, one each inbox, one the dispatcher's list, one what
// the registry knows, one each owner's Status of its last turn; all are leaves. The
// owner's other state belongs to the turn; turns, a bus, an output and the
// registry's file are channels with one slot.
package sensors
