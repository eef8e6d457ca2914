// Package cmd holds the programs, one folder each, and the tests of the whole
// tree: import directions, package documentation.
package cmd
