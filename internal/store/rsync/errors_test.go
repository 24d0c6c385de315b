package rsync

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

func TestClassify_EveryMessage(t *testing.T) {
	s, err := New(Config{Host: "ubuntu@backup.example.com", Path: "~/sets", Port: 2222, KeyFile: "/k's/key", KnownHostsFile: "/k/known", Owner: "n"})
	require.NoError(t, err)
	for _, c := range []struct {
		code   int
		stderr string
		kind   error
		fix    string
	}{
		{255, "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@\nHost key for [backup.example.com]:2222 has changed and you have requested strict checking.\nHost key verification failed.\n",
			store.ErrHostKey, "ssh-keygen -R '[backup.example.com]:2222' -f '/k/known'; type: ssh-keyscan -p 2222 backup.example.com >> '/k/known'"},
		{255, "No ED25519 host key is known for [backup.example.com]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n",
			store.ErrHostKey, "type: ssh-keyscan -p 2222 backup.example.com >> '/k/known'"},
		{255, "Permissions 0644 for '/k' are too open.\n@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nThis private key will be ignored.\nubuntu@h: Permission denied (publickey).",
			store.ErrDenied, `chmod 600 '/k'\''s/key'`},
		{255, "ubuntu@backup.example.com: Permission denied (publickey).\r\n", store.ErrDenied, `ssh-copy-id -i '/k'\''s/key' -p 2222 ubuntu@backup.example.com`},
		{255, "ubuntu@h: Permission denied (publickey,gssapi-with-mic,password).", store.ErrDenied, "ssh-copy-id"},
		{255, "Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures", store.ErrDenied, "ssh-copy-id"},
		{11, "rsync: [receiver] write failed on \"/x\": No space left on device (28)\nrsync error: error in file IO (code 11) at receiver.c(380)", store.ErrFull, "free space"},
		{1, "sh: 12: echo: I/O error: No space left on device", store.ErrFull, "free space"},
		{11, "rsync: [receiver] write failed on \"/x\": Disk quota exceeded (122)", store.ErrFull, "quota"},
		{1, "mkdir: cannot create directory '/sets': Permission denied", store.ErrDenied, "must be writable"},
		{1, "mkdir: cannot create directory '/sets': Read-only file system", store.ErrDenied, "must be writable"},
		{23, "rsync: [receiver] mkstemp failed: Operation not permitted (1)", store.ErrDenied, "must be writable"},
		{255, "ssh: Could not resolve hostname backup.example.com: Name or service not known", nil, "name service"},
		{255, "ssh: connect to host backup.example.com port 2222: Connection refused", nil, "start sshd"},
		{255, "ssh: connect to host backup.example.com port 2222: Connection timed out", nil, "firewalls"},
		{255, "ssh: connect to host backup.example.com port 2222: No route to host", nil, "firewalls"},
		{255, "Connection timed out during banner exchange", nil, "firewalls"},
		{255, "Timeout, server backup.example.com not responding.\r\n", nil, "goes on from here"},
		{255, "client_loop: send disconnect: Broken pipe", nil, "goes on from here"},
		{255, "kex_exchange_identification: read: Connection reset by peer", nil, "goes on from here"},
		{127, "sh: 1: rsync: not found\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]", nil, "install rsync"},
		{127, "bash: rsync: command not found", nil, "install rsync"},
		{127, "sh: 4: sha256sum: not found", nil, "install sha256sum"},
		{2, "protocol version mismatch -- is your shell clean?\n(see the rsync manpage for an explanation)", nil, "silence"},
		{12, "something new", nil, ""},
		{1, "", nil, ""},
	} {
		err := s.classify(c.code, c.stderr)
		if c.kind != nil {
			require.ErrorIs(t, err, c.kind, c.stderr)
		} else {
			for _, kind := range []error{store.ErrDenied, store.ErrHostKey, store.ErrFull} {
				require.NotErrorIs(t, err, kind, c.stderr)
			}
		}
		require.ErrorContains(t, err, c.fix, c.stderr)
		require.NotContains(t, err.Error(), "\n")
	}
	require.ErrorContains(t, s.classify(12, "something new\n"), "something new (exit code 12)")
	require.ErrorIs(t, s.classify(9, "ls: cannot access '/x/.': No such file or directory"), errNoFolder)
	require.ErrorIs(t, s.classify(9, "ls: cannot access '/x/.': Permission denied"), store.ErrDenied)
}

func TestFolderWord(t *testing.T) {
	for path, want := range map[string]string{
		"/a b": "'/a b'", "~": `"$HOME"/''`, "~/it's": `"$HOME"/'it'\''s'`, "~bob/x y": "~bob/'x y'", "x": `"$HOME"/'x'`,
		"~$(id)/x": `"$HOME"/'~$(id)/x'`,
	} {
		got, err := folderWord(path)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
