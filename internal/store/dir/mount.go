package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"canton-backup/internal/store"
)

// enter makes sure that the folder is there: ours is created, a foreign one must exist, on the disk that belongs there.
func (s *Store) enter() error {
	if !s.foreign {
		return os.MkdirAll(s.cfg.Path, 0o700)
	}
	// First the mount points: behind a disk that is not mounted, an older and empty folder may lie.
	if point, err := s.unmounted(); err != nil || point != "" {
		if err == nil {
			err = fmt.Errorf("%w: nothing is mounted at %s, where /etc/fstab wants a disk or share; type: mount %s", store.ErrNoBucket, point, point)
		}
		return err
	}
	info, err := os.Stat(s.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist; mount its disk, or create it once", store.ErrNoBucket, s.cfg.Path)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%w: %s is no folder", store.ErrNoBucket, s.cfg.Path)
	}
	return err
}

// reach is enter for what makes nothing: a folder of ours may be absent, and then holds nothing.
func (s *Store) reach() error {
	if !s.foreign {
		return nil
	}
	return s.enter()
}

// unmounted is a mount point of fstab at or above the folder where nothing is mounted, or "".
func (s *Store) unmounted() (string, error) {
	path := s.cfg.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	wanted, err := mountPoints(s.fstab)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // as in a container
	}
	if err != nil {
		return "", err
	}
	there, err := mountPoints(s.mounts)
	if err != nil {
		return "", err
	}
	for point := range wanted {
		if point != "/" && (path == point || strings.HasPrefix(path, point+"/")) && !there[point] {
			return point, nil
		}
	}
	return "", nil
}

// mountPoints reads the second words of a table like /etc/fstab, which escapes what would end a word as \ooo.
func mountPoints(file string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read mount points: %w", err)
	}
	points := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(words[0], "#") && strings.HasPrefix(words[1], "/") {
			points[filepath.Clean(unescaped(words[1]))] = true
		}
	}
	return points, nil
}

func unescaped(word string) string {
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '\\' && i+3 < len(word) {
			if code, err := strconv.ParseUint(word[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(word[i])
	}
	return b.String()
}
