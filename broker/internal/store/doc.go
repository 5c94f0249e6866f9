// Package store is where durable state goes: a sequence of records and the
// queues of durable consumers.
//
// Every change that must survive is one Record. Append gives it a sequence
// number, Commit closes the group it is in, Status tells whether it is as safe
// as its durability class asks for. Nothing here waits: who promised something
// parks the promise and asks to be woken by Notify.
//
// Durable keeps records in a journal (package journal) on a disk (package
// disk), and the State they add up to in memory, for checkpoints. Memory keeps
// nothing across a restart and reports every record durable at once. Both
// stand behind the interface that broker/internal/router declares. Queue is
// the bounded FIFO of one durable consumer.
//
// The package routes nothing and knows no sessions, only their records.
//
// Locks: Durable has one, which is held while a record is appended to the
// journal and never while a callback runs. Queue and State have none: their
// owners serialize calls.
package store
