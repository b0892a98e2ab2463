// Package hostile holds the tests that attack a real server from outside, over its doors: who does
// not belong there, what is no request, floods, and what would do harm where it is printed.
//
// There is nothing in it but tests. While they attack, another client is served; afterwards the
// server holds no memory and no goroutine of theirs. What one door does with one of its own
// requests is tested beside that door; make hostile runs those tests, too.
package hostile
