package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"canton-backup/bench/internal/figures"
	"canton-backup/testbed"
)

// options say what to measure.
type options struct {
	dir      string
	out      string        // folder to write the documents to, empty for none
	full     bool          // everything is measured
	sizes    []int         // MB (10^6 bytes) of SQL text, of mixed data, ascending
	kinds    []string      // of data
	cases    []string      // names
	subjects []string      // parts of names, empty for all
	passes   int           // 0: as planned
	weigh    bool          // measure the captures that were not taken, too
	idle     time.Duration // how long to watch the waiting worker, 0 for not at all
}

// kindMB is the size of the data that is of one kind, unless a quick look is at smaller ones.
const kindMB = 1000

var (
	allSizes = []int{250, 1000, figures.MainMB, 4000}
	allKinds = []string{string(testbed.Mixed), string(testbed.Text), string(testbed.Hex), string(testbed.Random)}
	allCases = []string{figures.Capture, figures.Backup, figures.Restore, figures.Drill}
)

func parse(args []string) (options, error) {
	o := options{sizes: allSizes, full: true}
	cache, err := os.UserCacheDir()
	if err != nil {
		return o, fmt.Errorf("find a folder to work in: %w", err)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", filepath.Join(cache, "canton-backup-bench"), "folder to work in; emptied at start and end")
	flags.StringVar(&o.out, "out", "", "folder for benchmarks.md, benchmarks.json and img/benchmarks.svg; docs when everything is measured")
	flags.DurationVar(&o.idle, "idle", time.Minute, "how long to watch the waiting worker, when a backup is measured")
	flags.Func("sizes", "MB of SQL text, of mixed data, with commas (250,1000,2500,4000)", func(text string) error {
		o.full, o.sizes = false, nil
		for word := range strings.SplitSeq(text, ",") {
			size, err := strconv.Atoi(word)
			if err != nil || size < 20 {
				return fmt.Errorf("%q is no size from 20", word)
			}
			o.sizes = append(o.sizes, size)
		}
		slices.Sort(o.sizes)
		return nil
	})
	pick := func(name string, all []string) *[]string {
		picked := slices.Clone(all)
		flags.Func(name, "some of "+strings.Join(all, ",")+" (all)", func(text string) error {
			o.full, picked = false, strings.Split(text, ",")
			for _, word := range picked {
				if !slices.Contains(all, word) {
					return fmt.Errorf("%q is none of %s", word, strings.Join(all, ", "))
				}
			}
			return nil
		})
		return &picked
	}
	kinds, cases := pick("kinds", allKinds), pick("cases", allCases)
	flags.Func("subjects", "parts of the names of the subjects to measure, with commas (all)", func(text string) error {
		o.full, o.subjects = false, strings.Split(text, ",")
		return nil
	})
	flags.Func("passes", "counted runs of every subject (as planned: two, or four for quick ones)", func(text string) error {
		o.full = false
		o.passes, err = strconv.Atoi(text)
		if err != nil || o.passes < 1 {
			return errors.New("want a number from 1")
		}
		return nil
	})
	flags.BoolVar(&o.weigh, "alternatives", false, "measure the captures that were not taken, too (docs/decisions): of 1000 MB of mixed data, unless told otherwise")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.weigh {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		if o.full = false; !given["sizes"] {
			o.sizes = []int{kindMB}
		}
		if !given["kinds"] {
			*kinds = []string{figures.Mixed}
		}
		if !given["cases"] {
			*cases = []string{figures.Capture}
		}
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("read flags: %q is no flag", flags.Arg(0))
	}
	o.kinds, o.cases = *kinds, *cases
	if o.full && o.out == "" {
		o.out = "docs"
	}
	return o, nil
}

// main is the size at which everything is measured: that of the promises, or the largest.
func (o options) main() int {
	if slices.Contains(o.sizes, figures.MainMB) {
		return figures.MainMB
	}
	return o.sizes[len(o.sizes)-1]
}

// wants tells whether a subject is to be measured.
func (o options) wants(name string) bool {
	return len(o.subjects) == 0 || slices.ContainsFunc(o.subjects, func(part string) bool { return strings.Contains(name, part) })
}
