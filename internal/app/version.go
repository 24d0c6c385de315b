package app

import "runtime/debug"

// Version of this program. A release sets it at link time.
var version = "0.1.0-dev"

// Program is the name and version that manifests record.
func Program() string { return "canton-backup " + Version() }

// Version returns the version, with the commit when the build knows it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return version + "+" + s.Value[:12]
			}
		}
	}
	return version
}
