package temporalserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
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

// The range to choose from lies below the one from which Linux takes ports for outgoing connections, so that between our
// looking at a port and the server's taking it only another server can get in.
const (
	lowestPort  = 15000
	highestPort = 32767
)

// freePorts holds all n before it releases any, so that they differ. It leaves out those that are meant for something else.
func freePorts(n int, except ...int) (_ []int, err error) {
	ports := make([]int, 0, n)
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if slices.Contains(except, port) {
			continue
		}
		l, listenErr := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if listenErr != nil {
			continue
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d: none left", n, lowestPort, highestPort)
}
