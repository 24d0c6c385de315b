package temporalserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// apiPort checks the wanted port, or picks one when it is 0.
func apiPort(want int) (int, error) {
	if want == 0 {
		return freePort()
	}
	return want, checkPort(want)
}

// checkPort says beforehand what the server would only say by ending the process.
func checkPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortTakenError{Port: port, Cause: syscall.EADDRINUSE}
	}
	if err != nil {
		return fmt.Errorf("check port %d: %w", port, err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("release port %d: %w", port, err)
	}
	return nil
}

func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// freePorts holds all n before it releases any, or the kernel could hand out one of them twice.
func freePorts(n int) (_ []int, err error) {
	ports := make([]int, n)
	for i := range ports {
		l, listenErr := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if listenErr != nil {
			return nil, fmt.Errorf("find a free port: %w", listenErr)
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
