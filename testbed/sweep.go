package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Labels of what the testbed makes, each with the equals sign that a filter needs.
const (
	projectLabel    = "com.docker.compose.project="
	ownProjectLabel = "canton-backup.testbed.project="
	runLabel        = "canton-backup.testbed.run="
	ownerLabel      = "canton-backup.testbed.owner="
)

// kinds are the Docker objects a node is made of, in the order in which they can be removed.
var kinds = []struct {
	list, remove []string
}{
	{[]string{"ps", "--all", "--quiet"}, []string{"rm", "--force", "--volumes"}},
	{[]string{"volume", "ls", "--quiet"}, []string{"volume", "rm", "--force"}},
	{[]string{"network", "ls", "--quiet"}, []string{"network", "rm"}},
}

// Sweep removes all that nodes of a run left: containers, volumes and networks. Kept nodes of the run go as well.
func Sweep(ctx context.Context, run string) error {
	if run == "" {
		return errors.New("sweep testbed: no run is named")
	}
	if err := remove(ctx, runLabel+run); err != nil {
		return fmt.Errorf("sweep testbed run %s: %w", run, err)
	}
	return nil
}

// SweepDead removes the nodes whose maker ended without taking them down, such as a killed test.
func SweepDead(ctx context.Context) error {
	owners, err := owners(ctx, strings.TrimSuffix(ownerLabel, "="))
	if err != nil {
		return fmt.Errorf("sweep testbed: %w", err)
	}
	var errs []error
	for owner := range owners {
		if owner != "" && !alive(owner) {
			errs = append(errs, remove(ctx, ownerLabel+owner))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep testbed: %w", err)
	}
	return nil
}

// clear removes leftovers of a project that Up is about to make, and refuses to touch one that is somebody's. A kept node that was
// stopped is a volume without containers.
func clear(ctx context.Context, project string) error {
	owners, err := owners(ctx, projectLabel+project)
	if err != nil {
		return err
	}
	for owner := range owners {
		switch {
		case owner == "":
			return errors.New("the project is a kept node's: take that down first")
		case owner != self() && alive(owner):
			return fmt.Errorf("the project belongs to the running process %s", owner)
		}
	}
	return remove(ctx, projectLabel+project, ownProjectLabel+project)
}

// owners are the processes that made what carries the label; the empty one made what is kept.
func owners(ctx context.Context, label string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, kind := range kinds {
		list := kind.list[:len(kind.list)-1] // all but --quiet, which forbids a format
		out, err := docker(ctx, append(slices.Clone(list), "--filter", "label="+label, "--format", `{{.Label "`+strings.TrimSuffix(ownerLabel, "=")+`"}}|`)...)
		if err != nil {
			return nil, err
		}
		for _, owner := range lines(out) {
			found[strings.TrimSuffix(owner, "|")] = true
		}
	}
	return found, nil
}

// remove deletes every object that carries one of the labels. Objects that vanish meanwhile are no error.
func remove(ctx context.Context, labels ...string) error {
	for _, kind := range kinds {
		for _, label := range labels {
			out, err := docker(ctx, append(slices.Clone(kind.list), "--filter", "label="+label)...)
			if err != nil {
				return err
			}
			for _, id := range lines(out) {
				if _, err := docker(ctx, append(slices.Clone(kind.remove), id)...); err != nil && !gone(err) {
					return err
				}
			}
		}
	}
	return nil
}

// gone tells whether the client complained that the object is not there (any more).
func gone(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no such") || strings.Contains(text, "not found") || strings.Contains(text, "already in progress")
}

// self names this process: a pid alone may be another's after a while, so the time it started is part of the name.
func self() string { return owner(os.Getpid()) }

func owner(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the program's name in brackets and may hold blanks; the start time is the 22nd.
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	// A zombie holds its pid and does nothing any more: on a machine whose init reaps none, that lasts.
	if err != nil || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return strconv.Itoa(pid) + "-" + fields[19] + "-" + strings.TrimSpace(string(boot))[:8]
}

// alive tells whether the process that an owner label names still runs.
func alive(label string) bool {
	pid, _, _ := strings.Cut(label, "-")
	n, err := strconv.Atoi(pid)
	return err == nil && owner(n) == label
}
