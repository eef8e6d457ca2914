// Package keajson reads and writes Kea's JSON dialect: comments in three forms,
// include directives, surplus commas.
//
// Text becomes a Tree (Parse, ParseTree): values with the file, line and column they
// came from and the comments around them, which Tree.Format writes again. Who reads
// a tree gathers faults in a Report, each as "FILE:LINE:COL: what was expected". An
// Edit changes a configuration by command. No message tells what stands beside a
// password.
//
// A Tree is not changed after parsing; any goroutine may read it.
package keajson
