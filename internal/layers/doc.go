// Package layers keeps the shape of the code: its tests fail when a package imports what its layer forbids, when a file grows beyond
// what one reads in one go, or when the documents fall behind the code. It holds nothing else.
package layers
