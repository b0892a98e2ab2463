// Package ladder holds the tests that attack the whole engine: a crash after every call of the file
// system, random walks beside a naive model, flipped bytes, killed servers, and power cuts of a
// real file system. RELIABILITY.md says what each of them shows and prints the latest counts.
//
// There is nothing in it but tests. Each prints one line that begins with "reliability: " and says
// what it did; the reliability command collects these lines.
package ladder
