package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// begin marks where the output of a script begins: whatever a login shell prints comes before it.
const begin = "canton-backup-begins\n"

// preamble of every script. Messages are in English, for classify.
const preamble = `LC_ALL=C; export LC_ALL; unset CDPATH; umask 077
printf '` + `canton-backup-begins\n'
`

const syncFolder = "sync . 2>/dev/null || sync\n"

// slowestDisk is the rate, in bytes a second, that we allow a remote disk when a file is digested: nothing is printed meanwhile.
const slowestDisk = 10 << 20

// errNoFolder: the folder does not exist, so it holds nothing.
var errNoFolder = errors.New("folder does not exist")

// quote makes one word of a POSIX shell out of any text without NUL.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// local is the shell word for a file of the current folder; one that begins with a dash is no option.
func local(name string) string { return quote("./" + name) }

var homePattern = regexp.MustCompile(`^~[A-Za-z0-9_][A-Za-z0-9_.\-]*$`)

// folderWord is the shell word for the remote folder. A tilde is the shell's to expand, the rest is quoted.
func folderWord(path string) (string, error) {
	home, below, _ := strings.Cut(path, "/")
	switch {
	case path == "" || strings.ContainsAny(path, "\x00\n"):
		return "", fmt.Errorf("path %q is no folder", path)
	case path[0] == '/':
		return quote(path), nil
	case home == "~":
		return `"$HOME"/` + quote(below), nil
	case homePattern.MatchString(home):
		return home + "/" + quote(below), nil
	}
	return `"$HOME"/` + quote(path), nil
}

// enter is the script that goes to the folder, and ends with errNoFolder when there is none.
func (s *Store) enter() string {
	word, _ := folderWord(s.cfg.Path) // New has checked it
	// ls tells absent from forbidden; cd says neither.
	return preamble + "d=" + word + "\nls -d -- \"$d/.\" >/dev/null || exit 9\ncd -- \"$d\" || exit\n"
}

// enterOrMake is the script that goes to the folder and creates it when absent.
func (s *Store) enterOrMake() string {
	word, _ := folderWord(s.cfg.Path)
	return preamble + "d=" + word + "\nmkdir -p -- \"$d\" || exit\ncd -- \"$d\" || exit\n"
}

// output of a script.
type output struct {
	noise string // printed by the login shell
	text  string
}

// fields cuts the output at NULs; there are want of them, each ended.
func (o output) fields(want int) ([]string, error) {
	parts := strings.Split(o.text, "\x00")
	if len(parts) != want+1 || parts[want] != "" {
		return nil, fmt.Errorf("remote script answered %q", o.text)
	}
	return parts[:want], nil
}

// run has the remote shell read the script from its standard input, so that one quoting suffices whatever the login shell is,
// and no name shows in a process list. digested is how many bytes the script digests without printing.
func (s *Store) run(ctx context.Context, script string, digested int64) (output, error) {
	if err := ctx.Err(); err != nil {
		return output{}, err
	}
	p := s.newProcess(ctx, s.sshCommand(), s.cfg.StallAfter+time.Duration(digested/slowestDisk)*time.Second)
	p.cmd.Stdin = strings.NewReader(script)
	var out bytes.Buffer
	p.cmd.Stdout = p.watch(&out)
	if err := p.run(); err != nil {
		return output{}, err
	}
	noise, text, found := strings.Cut(out.String(), begin)
	if !found {
		return output{}, fmt.Errorf("%s answered %.200q instead of running sh", s.target(), noise)
	}
	return output{noise: noise, text: text}, nil
}

// target is the host for people and for rsync, with brackets around an IPv6 address.
func (s *Store) target() string {
	user, host, found := strings.Cut(s.cfg.Host, "@")
	if !found {
		user, host = "", user
	} else {
		user += "@"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return user + host
}

func (s *Store) sshCommand() []string {
	return append(s.ssh(), "--", s.cfg.Host, "sh -s")
}

// ssh is the client with the options that make it safe unattended: it never asks, never trusts a key it does not know, and
// gives up a dead line.
func (s *Store) ssh() []string {
	// Later than our own watch, which knows a stall when it sees one; this is for an ssh that outlived us.
	alive := max(1, int(s.cfg.StallAfter/time.Second/2))
	argv := []string{"ssh", "-T", "-x", "-a"}
	for _, option := range []string{
		"BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "LogLevel=ERROR", "RequestTTY=no",
		"ControlMaster=no", "ControlPath=none", "ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none",
		fmt.Sprintf("ConnectTimeout=%d", max(1, int(s.cfg.ConnectTimeout/time.Second))),
		fmt.Sprintf("ServerAliveInterval=%d", alive), "ServerAliveCountMax=3",
	} {
		argv = append(argv, "-o", option)
	}
	if s.cfg.KnownHostsFile != "" {
		argv = append(argv, "-o", "UserKnownHostsFile="+sshWord(s.cfg.KnownHostsFile))
	}
	if s.cfg.KeyFile != "" {
		argv = append(argv, "-o", "IdentitiesOnly=yes", "-o", "IdentityFile="+sshWord(s.cfg.KeyFile))
	}
	if s.cfg.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(s.cfg.Port))
	}
	return argv
}

// sshWord quotes a file name for an ssh option, where % begins a token.
func sshWord(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// rshWord quotes one argument inside rsync's --rsh, whose only escape is a doubled quote.
func rshWord(arg string) string { return "'" + strings.ReplaceAll(arg, "'", "''") + "'" }

// environment of ssh and rsync: English messages, no settings that would change rsync's behaviour.
func environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "RSYNC_") && !strings.HasPrefix(entry, "LC_ALL=") {
			env = append(env, entry)
		}
	}
	return append(env, "LC_ALL=C")
}

// localRsync proves that this host's rsync knows the options that we use: --version makes it end after it has read them.
func localRsync(ctx context.Context) error {
	path, err := exec.LookPath("rsync")
	if err != nil {
		return fmt.Errorf("%w; install rsync on this host", err)
	}
	cmd := exec.CommandContext(ctx, path, append(transfer(), "--version")...)
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("this host's rsync does not do what we need, 3.1 or newer does: %w: %.300s", err, bytes.TrimSpace(out))
	}
	return nil
}
