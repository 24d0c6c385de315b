package rsync

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"canton-backup/internal/store"
)

// exitPartial is rsync's code for a transfer of which something went wrong.
const exitPartial = 23

// exitError is the end of ssh, rsync or a remote script, in words.
type exitError struct {
	code int
	kind error // one of the store's errors, or nil
	text string
	fix  string
}

func (e *exitError) Error() string {
	text := fmt.Sprintf("%s (exit code %d)", e.text, e.code)
	if e.kind != nil {
		text = e.kind.Error() + ": " + text
	}
	if e.fix != "" {
		text += "; " + e.fix
	}
	return text
}

func (e *exitError) Unwrap() error { return e.kind }

// symptom is a message of ssh, rsync or a file utility, and what it means. Order matters: ssh prints several at once.
type symptom struct {
	pattern *regexp.Regexp
	kind    error
	fix     func(s *Store) string
}

func (s *Store) symptoms() []symptom {
	at := func(text string) *regexp.Regexp { return regexp.MustCompile(text) }
	say := func(format string, args ...any) func(*Store) string {
		return func(*Store) string { return fmt.Sprintf(format, args...) }
	}
	return []symptom{
		{at(`REMOTE HOST IDENTIFICATION HAS CHANGED|Host key .* has changed|revoked host key`), store.ErrHostKey, (*Store).fixChangedKey},
		{at(`Host key verification failed|host key is known for`), store.ErrHostKey, (*Store).fixUnknownKey},
		{at(`UNPROTECTED PRIVATE KEY FILE|bad permissions`), store.ErrDenied, say("type: chmod 600 %s", quote(s.cfg.KeyFile))},
		{at(`Permission denied \([a-z0-9,@.\-]+\)|Too many authentication failures|no mutual signature`), store.ErrDenied, (*Store).fixRefusedKey},
		{at(`No space left on device`), store.ErrFull, say("free space on %s or lower the retention", s.target())},
		{at(`[Dd]isk quota exceeded`), store.ErrFull, say("raise the quota on %s or lower the retention", s.target())},
		{at(`Permission denied|Operation not permitted|Read-only file system`), store.ErrDenied,
			say("the folder %s must be writable for the user of %s", s.cfg.Path, s.target())},
		{at(`Could not resolve hostname`), nil, say("mend the host's name or this host's name service")},
		{at(`Connection refused`), nil, say("start sshd there, or mend host and port")},
		{at(`timed out|No route to host|Network is unreachable`), nil, say("look at the network, firewalls, host and port")},
		{at(`Connection (reset|closed)|Broken pipe|not responding`), nil, say("the line was cut; the next Put goes on from here")},
		{at(`rsync: (command )?not found|rsync: No such file`), nil, say("install rsync on %s", s.target())},
		{at(`sha256sum: (command )?not found`), nil, say("install sha256sum (coreutils) on %s", s.target())},
		{at(`is your shell clean|protocol version mismatch`), nil,
			say("the login shell of %s prints text; silence its start-up files for sessions without a terminal", s.target())},
	}
}

// classify turns an exit code and what was printed on standard error into an error that says cause and fix.
func (s *Store) classify(code int, stderr string) error {
	if code == 9 && strings.Contains(stderr, "No such file or directory") {
		return errNoFolder
	}
	failed := &exitError{code: code, text: lastLines(stderr)}
	for _, symptom := range s.symptoms() {
		if symptom.pattern.MatchString(stderr) {
			failed.kind, failed.fix = symptom.kind, symptom.fix(s)
			break
		}
	}
	// The words of a remote rsync can get lost with the line that it closes; its code for a file that cannot be written stays.
	if failed.kind == nil && code == 11 && strings.TrimSpace(stderr) == "" {
		failed.kind, failed.fix = store.ErrFull, "rsync could not write its file there and got no word through, as on a full disk: look at the free space"
	}
	return failed
}

// lastLines is the end of the text on one line; warnings of an earlier stage matter less than the last words.
func lastLines(text string) string {
	var lines []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" && strings.Trim(line, "@") != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "nothing was printed"
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

func (s *Store) bareHost() string {
	if _, host, found := strings.Cut(s.cfg.Host, "@"); found {
		return host
	}
	return s.cfg.Host
}

func (s *Store) portOption(flag string) string {
	if s.cfg.Port == 0 {
		return ""
	}
	return " " + flag + " " + strconv.Itoa(s.cfg.Port)
}

func (s *Store) knownHosts() string {
	if s.cfg.KnownHostsFile == "" {
		return "~/.ssh/known_hosts"
	}
	return quote(s.cfg.KnownHostsFile)
}

func (s *Store) fixUnknownKey() string {
	return fmt.Sprintf("type: ssh-keyscan%s %s >> %s, then compare the fingerprint (ssh-keygen -lf %s) with the one its owner tells you",
		s.portOption("-p"), s.bareHost(), s.knownHosts(), s.knownHosts())
}

func (s *Store) fixChangedKey() string {
	entry := s.bareHost()
	if s.cfg.Port != 0 && s.cfg.Port != 22 {
		entry = "[" + entry + "]:" + strconv.Itoa(s.cfg.Port)
	}
	return fmt.Sprintf("somebody may be in the way; only when the host's owner confirms a new key, type: ssh-keygen -R %s -f %s; %s",
		quote(entry), s.knownHosts(), s.fixUnknownKey())
}

func (s *Store) fixRefusedKey() string {
	key := ""
	if s.cfg.KeyFile != "" {
		key = " -i " + quote(s.cfg.KeyFile)
	}
	return fmt.Sprintf("the host does not accept our key; type: ssh-copy-id%s%s %s", key, s.portOption("-p"), s.cfg.Host)
}
