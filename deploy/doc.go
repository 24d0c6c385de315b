// Package deploy holds how canton-backup gets onto a host: the install script, the unit, the Dockerfile. Its Go files are the tests of those.
package deploy
