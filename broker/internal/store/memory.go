package store

import "sync/atomic"

// Memory is the store that keeps nothing: a record is durable when it was
// appended, until the process ends. The zero value is ready.
type Memory struct{ last atomic.Uint64 }

// Append gives r its sequence number.
func (m *Memory) Append(Record) uint64 { return m.last.Add(1) }

// Commit returns the sequence number of the last record.
func (m *Memory) Commit() uint64 { return m.last.Load() }

// Status reports everything appended as durable.
func (m *Memory) Status(uint64) (bool, error) { return true, nil }

// Refuses reports false: nothing is promised.
func (m *Memory) Refuses(string) bool { return false }

// Pressed reports false: nothing waits.
func (m *Memory) Pressed() bool { return false }

// Notify calls f at once: nothing is ever outstanding.
func (m *Memory) Notify(_ uint64, f func()) { f() }
