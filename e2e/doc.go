// Package e2e runs the built programs against real components: a node of the testbed in Docker, PostgreSQL, sshd and rsync, an S3
// server, the embedded Temporal. Only Telegram is a double.
package e2e
