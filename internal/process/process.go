// Package process starts programs that the kernel ends when we die, however we die.
package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts the command. The channel delivers what cmd.Wait returned, once, and is closed then.
//
// The kernel sends the death signal when the *thread* ends that started the program (PR_SET_PDEATHSIG in prctl(2)), and Go ends a thread
// when a goroutine locked to it returns. Started from just any goroutine, a program could be killed at any time by whatever ran on its
// thread later. So a goroutine keeps a thread for the program's life, and gives it back unharmed.
func Start(cmd *exec.Cmd) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// Run starts the command and waits for its end, as cmd.Run does.
func Run(cmd *exec.Cmd) error {
	ended, err := Start(cmd)
	if err != nil {
		return err
	}
	return <-ended
}
