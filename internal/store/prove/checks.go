package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"canton-backup/internal/store"
)

func roundTrip(ctx context.Context, p *place) error {
	sizes := map[string]int64{"empty file": 0, "it's 100% ünïcode & a+b": 1, "large.sql.gz": p.size}
	if p.keeps { // a large one comes with the cut upload
		delete(sizes, "large.sql.gz")
	}
	for name, size := range sizes {
		file, err := p.file(size)
		if err != nil {
			return err
		}
		last := int64(-1)
		backwards := false
		if err := p.Put(ctx, name, file, func(n int64) { backwards, last = backwards || n < last, n }); err != nil {
			return err
		}
		if backwards || last != size {
			return fmt.Errorf("progress of %q ended at %d of %d bytes, or went back", name, last, size)
		}
		if err := errors.Join(p.holds(ctx, name, file), p.remove(ctx, name)); err != nil {
			return err
		}
	}
	return nil
}

func exclusive(ctx context.Context, p *place) error {
	file, err := p.file(1000)
	if err != nil {
		return err
	}
	other, err := p.file(1000)
	if err != nil {
		return err
	}
	for range 2 {
		if err := p.Put(ctx, "taken", file, nil); err != nil {
			return err
		}
	}
	return errors.Join(is(p.Put(ctx, "taken", other, nil), store.ErrExists, "other content under the same name"),
		p.holds(ctx, "taken", file), p.remove(ctx, "taken"))
}

func wrongContent(ctx context.Context, p *place) error {
	file, err := p.file(1000)
	if err != nil {
		return err
	}
	other, err := p.file(1000)
	if err != nil {
		return err
	}
	lie := file
	lie.SHA256 = other.SHA256
	return errors.Join(is(p.Put(ctx, "wrong", lie, nil), store.ErrCorrupt, "content with another digest than announced"), p.absent(ctx, "wrong"))
}

// interrupt begins to put the file and gives up once bytes moved.
func (p *place) interrupt(ctx context.Context, name string, file store.File) error {
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	err := p.Put(short, name, file, func(n int64) {
		if n > 0 {
			cancel()
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return is(err, context.Canceled, "an upload that was given up")
}

func resume(ctx context.Context, p *place) error {
	file, err := p.file(p.size)
	if err != nil {
		return err
	}
	if err := p.interrupt(ctx, "cut", file); err != nil {
		return err
	}
	if err := p.absent(ctx, "cut"); err != nil {
		return err
	}
	if err := p.Put(ctx, "cut", file, nil); err != nil {
		return err
	}
	return errors.Join(p.holds(ctx, "cut", file), p.remove(ctx, "cut"))
}

func offsets(ctx context.Context, p *place) error {
	file, err := p.file(1000)
	if err != nil {
		return err
	}
	want, err := os.ReadFile(file.Path)
	if err != nil {
		return err
	}
	if err := p.Put(ctx, "ranges", file, nil); err != nil {
		return err
	}
	for _, offset := range []int64{0, 1, 500, 999, 1000} {
		r, err := p.Open(ctx, "ranges", offset)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if string(got) != string(want[offset:]) {
			return fmt.Errorf("%w: read %d other bytes from offset %d", store.ErrCorrupt, len(got), offset)
		}
	}
	for _, offset := range []int64{-1, 1001} {
		if r, err := p.Open(ctx, "ranges", offset); err == nil {
			_ = r.Close()
			return fmt.Errorf("offset %d of 1000 bytes can be read", offset)
		} else if errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	_, err = p.Open(ctx, "nothing", 0)
	return errors.Join(is(err, store.ErrNotFound, "a name that was never put"), p.remove(ctx, "ranges"))
}

func listAndDelete(ctx context.Context, p *place) error {
	names := []string{"a", "a.b", "ab", "b"}
	for _, name := range names {
		file, err := p.file(int64(len(name)))
		if err != nil {
			return err
		}
		if err := p.Put(ctx, name, file, nil); err != nil {
			return err
		}
	}
	objects, err := p.List(ctx)
	if err != nil {
		return err
	}
	var listed []string
	for _, o := range objects {
		listed = append(listed, o.Name)
	}
	if !slices.IsSorted(listed) {
		return fmt.Errorf("the list is not sorted: %q", listed)
	}
	for _, name := range names {
		if !slices.Contains(listed, name) {
			return fmt.Errorf("the list lacks %q: %q", name, listed)
		}
	}
	if p.keeps {
		return fmt.Errorf("%w: listed, not deleted", store.ErrNoDelete)
	}
	for _, name := range []string{"a", "a", "never there"} { // absent is success
		if err := p.Delete(ctx, name); err != nil {
			return err
		}
	}
	err = p.absent(ctx, "a")
	for _, name := range names[1:] {
		r, openErr := p.Open(ctx, name, 0)
		if openErr == nil {
			openErr = r.Close()
		}
		err = errors.Join(err, openErr, p.remove(ctx, name))
	}
	return err
}

func sweep(ctx context.Context, p *place) error {
	if p.keeps {
		return fmt.Errorf("%w: not tried, since an unfinished upload would stay", store.ErrNoDelete)
	}
	file, err := p.file(p.size)
	if err != nil {
		return err
	}
	if err := p.interrupt(ctx, "left", file); err != nil {
		return err
	}
	swept, err := p.Sweep(ctx)
	if err == nil && len(swept) == 0 && p.Kind() != "dir" { // which leaves nothing when it is merely interrupted
		err = errors.New("nothing was found to clear")
	}
	if err != nil {
		return err
	}
	swept, err = p.Sweep(ctx)
	if err == nil && len(swept) > 0 {
		err = fmt.Errorf("%q came back", swept)
	}
	return errors.Join(err, p.absent(ctx, "left"))
}
