// Command canton-backup is the operator's command line.
package main

import (
	"os"

	"canton-backup/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.Standard())) }
