// Package rsync keeps backup sets in a folder of another host, over SSH.
//
// Bytes travel by rsync, which goes on where an interrupted transfer stopped. Everything else (listing, digests, publishing,
// deletion) is a short shell script on the remote side. That host needs sshd, rsync, sh and the usual file utilities with
// sha256sum, as any Linux has.
package rsync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/store"
)

// Defaults.
const (
	DefaultConnectTimeout = 20 * time.Second
	DefaultStallAfter     = 2 * time.Minute
)

// Config names the folder and the way to it. Aliases and jump hosts of the user's ~/.ssh/config apply.
type Config struct {
	Host           string        // "user@host"; IPv6 with or without brackets
	Path           string        // "/abs", "~/below/home", "~other/below/home", or below the home; created when absent
	Port           int           // 0 is ssh's own choice
	KeyFile        string        // private key; "" is ssh's own choice
	KnownHostsFile string        // "" is ssh's own choice
	ConnectTimeout time.Duration // 0 is DefaultConnectTimeout
	StallAfter     time.Duration // no byte moved for so long is ErrStalled; 0 is DefaultStallAfter
	Limit          int64         // bytes a second that are sent; 0 is no limit
	Owner          string        // node's name; marks partial files, so that Sweep spares those of others
}

// Store is a folder of another host.
type Store struct{ cfg Config }

var (
	_ store.Store = (*Store)(nil)
	_ store.Batch = (*Store)(nil)
)

// A word that ssh or rsync could take for an option or for a port is no host.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.\-]*@)?([A-Za-z0-9_][A-Za-z0-9_.\-]*|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9]+)?\]?)$`)

// New checks the settings. It connects to nothing.
func New(cfg Config) (*Store, error) {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	if cfg.StallAfter == 0 {
		cfg.StallAfter = DefaultStallAfter
	}
	var errs []error
	if !hostPattern.MatchString(cfg.Host) {
		errs = append(errs, fmt.Errorf("host %q is not like user@host", cfg.Host))
	}
	if _, err := folderWord(cfg.Path); err != nil {
		errs = append(errs, err)
	}
	if cfg.Port < 0 || cfg.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is no TCP port", cfg.Port))
	}
	if cfg.ConnectTimeout < 0 || cfg.StallAfter < 0 {
		errs = append(errs, fmt.Errorf("times must be positive"))
	}
	if err := errors.Join(append(errs, store.CheckOwner(cfg.Owner))...); err != nil {
		return nil, fmt.Errorf("open rsync store: %w", err)
	}
	cfg.Host = strings.NewReplacer("[", "", "]", "").Replace(cfg.Host)
	return &Store{cfg: cfg}, nil
}

// Kind implements store.Store.
func (s *Store) Kind() string { return "rsync" }

// Location implements store.Store.
func (s *Store) Location() string { return s.target() + ":" + s.cfg.Path }

// Check implements store.Store. It creates the folder when absent: the folder is ours to create.
func (s *Store) Check(ctx context.Context) error {
	err := s.check(ctx)
	if err != nil {
		return fmt.Errorf("check %s: %w", s.Location(), err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := localRsync(ctx); err != nil {
		return err
	}
	out, err := s.run(ctx, s.enterOrMake()+`
for tool in rsync sha256sum find sync; do command -v "$tool" >/dev/null || { printf '%s' "$tool"; exit 0; }; done
ls >/dev/null || exit
p=`+local(store.PartialName(s.cfg.Owner, strings.ToLower(rand.Text()[:12]), "check"))+`
echo check >"$p" && sha256sum <"$p" >/dev/null && rm -f -- "$p" && printf ok
`, 0)
	switch {
	case err != nil:
		return err
	case out.noise != "":
		return fmt.Errorf("login shell of %s prints %q before every command, which breaks rsync; silence its start-up files for sessions without a terminal",
			s.target(), out.noise)
	case out.text == "ok":
		return nil
	}
	return fmt.Errorf("%q is missing on %s; install it there", out.text, s.target())
}

// List implements store.Store. A folder that does not exist yet holds nothing.
func (s *Store) List(ctx context.Context) ([]store.Object, error) {
	all, err := s.files(ctx)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.Location(), err)
	}
	return slices.DeleteFunc(all, func(o store.Object) bool { return o.Name[0] == '.' }), nil
}

// files lists the regular files, unfinished ones too, sorted by name. Records end in NUL: a foreign file's name may hold
// anything else.
func (s *Store) files(ctx context.Context) ([]store.Object, error) {
	out, err := s.run(ctx, s.enter()+`
if find . -prune -printf '' 2>/dev/null; then
	find . ! -name . -prune -type f -printf '%s %f\0'
else # find of BusyBox or BSD
	for f in * .[!.]* ..?*; do
		[ -f "$f" ] && [ ! -L "$f" ] && printf '%s %s\0' "$(($(wc -c <"$f")))" "$f"
	done
fi
printf 'end\0'
`, 0)
	if errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	records := strings.Split(out.text, "\x00")
	if len(records) < 2 || records[len(records)-2] != "end" || records[len(records)-1] != "" {
		return nil, fmt.Errorf("listing of %s ends early", s.Location())
	}
	var objects []store.Object
	for _, record := range records[:len(records)-2] {
		var o store.Object
		size, name, found := strings.Cut(record, " ")
		if _, err := fmt.Sscan(size, &o.Size); err != nil || !found || name == "" {
			return nil, fmt.Errorf("listing of %s holds %q", s.Location(), record)
		}
		o.Name = name
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b store.Object) int { return strings.Compare(a.Name, b.Name) })
	return objects, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	err := errors.Join(ctx.Err(), store.CheckName(name))
	if err == nil {
		err = s.remove(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", name, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, names ...string) error {
	var script strings.Builder
	script.WriteString(s.enter())
	for _, name := range names {
		fmt.Fprintf(&script, "rm -f -- %s || exit\n", local(name))
	}
	script.WriteString(syncFolder)
	_, err := s.run(ctx, script.String(), 0)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	return err
}

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context) ([]string, error) {
	all, err := s.files(ctx)
	if err != nil {
		return nil, fmt.Errorf("sweep %s: %w", s.Location(), err)
	}
	var names []string
	for _, o := range all {
		if store.IsPartialOf(s.cfg.Owner, o.Name) {
			names = append(names, o.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	if err := s.remove(ctx, names...); err != nil {
		return nil, fmt.Errorf("sweep %s: %w", s.Location(), err)
	}
	return names, nil
}
