package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"canton-backup/internal/store"
)

// Put implements store.Store. Progress shows what rsync handed over; the file's full size comes only after it was read back.
func (s *Store) Put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	if progress == nil {
		progress = func(int64) {}
	}
	err := errors.Join(ctx.Err(), store.CheckName(name), localRsync(ctx))
	if err == nil {
		err = s.put(ctx, name, file, progress)
	}
	if err != nil {
		return fmt.Errorf("put %q: %w", name, err)
	}
	progress(file.Size)
	return nil
}

func (s *Store) put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	// The digest in the partial's name keeps a rest of other content from being gone on with.
	partial := store.PartialName(s.cfg.Owner, file.SHA256[:min(12, len(file.SHA256))], name)
	source, err := store.OpenSource(file)
	if err != nil {
		return err
	}
	defer source.Close()
	for {
		there, err := s.prepare(ctx, name, partial, file)
		if err != nil {
			return err
		}
		state := there.state
		if state == "absent" {
			if state, err = s.sendAndPublish(ctx, name, partial, there, file, source, progress); err != nil {
				return err
			}
		}
		switch {
		case state == "done" || state == "same":
			return nil
		case state == "other":
			return fmt.Errorf("%w: %s/%s", store.ErrExists, s.Location(), name)
		case there.partial > 0:
			// What an earlier Put had left was bad; a crash of that host can do that. It is gone now: once more, from the start.
			continue
		}
		return fmt.Errorf("%w: %s; was %s changed while it was sent?", store.ErrCorrupt, state, file.Path)
	}
}

// place is what prepare found.
type place struct {
	folder  string // absolute
	state   string // of the final name: absent, same, other
	partial int64  // bytes that an interrupted Put left
}

// prepare makes the folder, looks at the final name, and makes the partial file unless it is there.
func (s *Store) prepare(ctx context.Context, name, partial string, file store.File) (place, error) {
	out, err := s.run(ctx, s.enterOrMake()+digestOf+fmt.Sprintf(`n=%s; p=%s; size=%d; want=%s
printf '%%s\0' "$(pwd -P)"
if [ -e "$n" ] || [ -L "$n" ]; then
	if same "$n" "$size" "$want"; then printf 'same\0'; else printf 'other\0'; fi
	printf '0\0'; exit 0
fi
if [ -L "$p" ] || [ -e "$p" ] && [ ! -f "$p" ]; then rm -rf -- "$p" || exit; fi
: >>"$p" || exit
has=$(($(wc -c <"$p"))) || exit
[ "$has" -le "$size" ] || { : >"$p"; has=0; }
printf 'absent\0%%s\0' "$has"
`, local(name), local(partial), file.Size, quote(file.SHA256)), file.Size)
	if err != nil {
		return place{}, err
	}
	fields, err := out.fields(3)
	if err != nil {
		return place{}, err
	}
	has, err := strconv.ParseInt(fields[2], 10, 64)
	return place{folder: fields[0], state: fields[1], partial: has}, err
}

// digestOf defines same(file, size, digest): the regular file has exactly this content.
const digestOf = `sum() { sha256sum <"$1" | cut -d' ' -f1; }
same() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(($(wc -c <"$1")))" = "$2" ] && [ "$(sum "$1")" = "$3" ]; }
`

func (s *Store) sendAndPublish(ctx context.Context, name, partial string, there place, file store.File, source *store.Source, progress func(int64)) (string, error) {
	err := s.send(ctx, there.folder+"/"+partial, file, progress)
	if changed := source.Unchanged(); changed != nil && ctx.Err() == nil {
		return "", errors.Join(changed, s.remove(ctx, partial))
	}
	var failed *exitError
	if errors.As(err, &failed) && failed.code == exitPartial {
		// Another attempt of this Put may have published the file and taken the partial from under rsync's hands.
		if now, perr := s.prepare(ctx, name, partial, file); perr == nil && now.state == "same" {
			return "same", nil
		}
	}
	if err != nil {
		return "", err
	}
	return s.publish(ctx, name, partial, file)
}

// publish flushes the partial file, reads it back and links it to the final name, which replaces nothing. It returns "done",
// "same" (the name holds the content already), "other" (it holds other content) or a sentence: the partial is bad and gone.
func (s *Store) publish(ctx context.Context, name, partial string, file store.File) (string, error) {
	out, err := s.run(ctx, s.enter()+digestOf+fmt.Sprintf(`n=%s; p=%s; size=%d; want=%s
taken() {
	if same "$n" "$size" "$want"; then rm -f -- "$p"; printf 'same\0'; else rm -f -- "$p"; printf 'other\0'; fi
	exit 0
}
if [ -e "$n" ] || [ -L "$n" ]; then taken; fi
sync "$p" 2>/dev/null || sync
has=$(($(wc -c <"$p"))) || exit
got=$(sum "$p") || exit
if [ "$has" != "$size" ] || [ "$got" != "$want" ]; then
	rm -f -- "$p"
	printf '%%s bytes with SHA-256 %%s arrived, announced were %%s with %%s\0' "$has" "$got" "$size" "$want"
	exit 0
fi
if ! why=$(ln -- "$p" "$n" 2>&1); then
	if [ -e "$n" ] || [ -L "$n" ]; then taken; fi
	# A filesystem without hard links.
	mv -n -- "$p" "$n" || { printf '%%s\n' "$why" >&2; exit 1; }
	[ ! -e "$p" ] || taken
fi
rm -f -- "$p"
`, local(name), local(partial), file.Size, quote(file.SHA256))+syncFolder+"printf 'done\\0'\n", 2*file.Size)
	if err != nil {
		return "", err
	}
	fields, err := out.fields(1)
	if err != nil {
		return "", err
	}
	return fields[0], nil
}

// send appends to the partial file what it lacks. The bytes that are there are not compared: publish digests the whole.
func (s *Store) send(ctx context.Context, to string, file store.File, progress func(int64)) error {
	var rsh []string
	for _, arg := range s.ssh() {
		rsh = append(rsh, rshWord(arg))
	}
	argv := append([]string{"rsync"}, transfer()...)
	if s.cfg.Limit > 0 {
		argv = append(argv, fmt.Sprintf("--bwlimit=%d", max(1, s.cfg.Limit/1024))) // KiB a second
	}
	p := s.newProcess(ctx, append(argv, "--rsh="+strings.Join(rsh, " "), "--", file.Path, s.target()+":"+to), s.cfg.StallAfter)
	p.cmd.Stdout = &meter{report: func(n int64) {
		p.moved()
		if n < file.Size {
			progress(n)
		}
	}}
	return p.run()
}

// transfer are rsync's options. All of them are old: --protect-args is what later versions call --secluded-args, too.
func transfer() []string {
	return []string{"--append", "--perms", "--chmod=F600", "--protect-args", "--info=progress2", "--no-human-readable"}
}

// meter reads rsync's progress lines, "  1234567  45%   1.23MB/s    0:00:12", and reports the bytes when they grow.
type meter struct {
	line   []byte
	last   int64
	report func(int64)
}

func (m *meter) Write(b []byte) (int, error) {
	m.line = append(m.line, b...)
	for {
		end := bytes.IndexAny(m.line, "\r\n")
		if end < 0 {
			return len(b), nil
		}
		if words := bytes.Fields(m.line[:end]); len(words) > 1 && bytes.HasSuffix(words[1], []byte("%")) {
			if n, err := strconv.ParseInt(string(words[0]), 10, 64); err == nil && n > m.last {
				m.last = n
				m.report(n)
			}
		}
		m.line = m.line[end+1:]
	}
}
