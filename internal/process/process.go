// Package process starts programs that the kernel ends when we die, however we die.
package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a program that was started.
type Process struct {
	Ended <-chan struct{} // closed once it has ended

	err error // what cmd.Wait returned
}

// Start starts the command.
//
// The kernel sends the death signal when the *thread* ends that started the program (PR_SET_PDEATHSIG in prctl(2)), and Go ends a thread
// when a goroutine locked to it returns. Started from just any goroutine, a program could be killed at any time by whatever ran on its
// thread later. So a goroutine keeps a thread for the program's life, and gives it back unharmed.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan struct{})
	p := &Process{Ended: ended}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Wait waits for the program's end and returns what cmd.Wait returned.
func (p *Process) Wait() error {
	<-p.Ended
	return p.err
}

// Run starts the command and waits for its end, as cmd.Run does.
func Run(cmd *exec.Cmd) error {
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	return p.Wait()
}
