package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// FileName is the settings file inside the operator's ~/.canton.
const FileName = "toolkit.conf"

// DefaultFile returns the path of the settings file: CANTON_BACKUP_CONF, else ~/.canton/toolkit.conf.
func DefaultFile() (string, error) {
	if path := os.Getenv("CANTON_BACKUP_CONF"); path != "" {
		return filepath.Abs(path)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find settings: %w", err)
	}
	return filepath.Join(home, ".canton", FileName), nil
}

// Load reads the settings file afresh. The error is an *Error with every problem; the settings returned beside it hold
// whatever could be read, so that an alert can still be sent about the rest.
func Load(file string) (Settings, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	data, err := os.ReadFile(file)
	var problems []Problem
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problems = append(problems, Problem{Key: file, Cause: "there is no such file", Fix: "write one with: canton-backup config init"})
	case err != nil:
		problems = append(problems, Problem{Key: file, Cause: err.Error(), Fix: "make it readable for this user"})
	}
	values, bad := parse(data)
	problems = append(problems, bad...)

	v := viper.New()
	for _, k := range Keys {
		if err := v.BindEnv(k.Name, k.Name); err != nil {
			return Settings{}, fmt.Errorf("read settings: %w", err)
		}
	}
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, known := key(name); known {
			v.SetDefault(name, values[name]) // viper ranks the environment above a default: an exported variable overrides the file
		} else if !slices.Contains(toolkitKeys, name) {
			warnings = append(warnings, unknownKey(name))
		}
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	r := reader{viper: v, home: home, hostname: hostname}
	s := r.settings()
	s.File, s.Home, s.Warnings = file, home, append(warnings, r.warnings...)
	if problems = append(problems, r.problems...); len(problems) > 0 {
		return s, &Error{File: file, Problems: problems}
	}
	return s, nil
}

// unknownKey names the setting that was probably meant: a typo in RETENTION_DAYS must not pass in silence.
func unknownKey(name string) string {
	for _, k := range Keys {
		if strings.EqualFold(k.Name, name) || strings.ReplaceAll(k.Name, "_", "") == strings.ReplaceAll(strings.ToUpper(name), "_", "") {
			return fmt.Sprintf("unknown setting %s is ignored: did you mean %s?", name, k.Name)
		}
	}
	return fmt.Sprintf("unknown setting %s is ignored", name)
}
