// Package state is the pure core of the queue: tasks, lanes, leases, runs and books as a function
// of the records of a log.
//
// State.Apply changes the state by one record; replay and live traffic use the same function. Time
// is what the records and frames say (State.Advance), never a clock: expiry, due delays and windows
// are derived from it, so two states that applied the same records at the same times are equal.
// Where a body lies is an opaque pair (frame, offset) to this package.
//
// The package knows no clock, no files and no goroutines. A State has one owner; it is not safe for
// concurrent use.
package state
