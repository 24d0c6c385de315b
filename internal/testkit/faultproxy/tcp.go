// Package faultproxy stands between a client and a real server and makes the line bad.
package faultproxy

import (
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TCP forwards connections to a server.
type TCP struct {
	listener net.Listener
	target   string
	wait     sync.WaitGroup

	mu       sync.Mutex
	healed   chan struct{} // closed by Heal
	conns    map[net.Conn]bool
	sent     int64
	rate     int64 // bytes a second to the server, 0 is no limit
	cutAt    int64 // sent count at which connections are cut
	cutEvery int64 // bytes between two cuts
	stallAt  int64 // sent count at which nothing moves any more, 0 is never
	cutsLeft int

	pauseAt    int64 // sent count at which nothing moves for a while, 0 is never
	pauseEvery int64 // bytes between two pauses
	pause      time.Duration
	paused     time.Time // until when nothing moves
	opened     int
	cuts       int
}

// Start begins to forward connections to target ("host:port") until the test ends.
func Start(t testing.TB, target string) *TCP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &TCP{listener: l, target: target, healed: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Heal()
		p.CutNow()
		p.wait.Wait()
	})
	return p
}

// Addr is where clients connect to.
func (p *TCP) Addr() string { return p.listener.Addr().String() }

// Port is the port of Addr.
func (p *TCP) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Sent is the number of bytes that went towards the server so far.
func (p *TCP) Sent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Opened is the number of connections that clients made so far.
func (p *TCP) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// SetRate bounds the bytes a second that go towards the server, over all connections. 0 lifts the bound.
func (p *TCP) SetRate(bytesPerSecond int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// CutAfter cuts all connections each time that n more bytes went to the server, times times.
func (p *TCP) CutAfter(n int64, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAt, p.cutEvery, p.cutsLeft = p.sent+n, n, times
}

// StallAfter moves nothing in either direction once n more bytes went to the server, and keeps connections open, until Heal.
func (p *TCP) StallAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stallAt = p.sent + n
}

// PauseEvery moves nothing in either direction for so long each time that n more bytes went to the server.
func (p *TCP) PauseEvery(n int64, long time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauseAt, p.pauseEvery, p.pause = p.sent+n, n, long
}

// Storm makes the line as bad as one that still carries something: bounded, with pauses, and cut after the first bytes and then each
// time that every more bytes went through. What is sent at once must be less than that, or nothing ever arrives.
func (p *TCP) Storm(first, every int64) {
	p.SetRate(100 << 20)
	p.PauseEvery(every/3, 100*time.Millisecond)
	p.CutAfter(first, math.MaxInt)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutEvery = every
}

// Cuts is the number of times that the line was cut so far.
func (p *TCP) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Heal ends all faults.
func (p *TCP) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAt, p.stallAt, p.rate, p.cutsLeft, p.pauseAt = 0, 0, 0, 0, 0
	close(p.healed)
	p.healed = make(chan struct{})
}

// CutNow cuts all connections.
func (p *TCP) CutNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *TCP) cut() {
	for conn := range p.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a firewall, not an orderly end
		}
		_ = conn.Close()
	}
}

func (p *TCP) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		// Small buffers, so that what a client could write is close to what went through.
		_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.opened++
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.pump(server, client, true) })
		both.Go(func() { p.pump(client, server, false) })
		p.wait.Go(func() {
			both.Wait()
			_ = client.Close()
			_ = server.Close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.conns, client)
			delete(p.conns, server)
		})
	}
}

func (p *TCP) pump(to, from net.Conn, count bool) {
	defer func() {
		if tcp, ok := to.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass(n, count) {
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass counts the bytes and lets the fault that is due happen. It returns false when the line is cut.
func (p *TCP) pass(n int, count bool) bool {
	p.mu.Lock()
	if count {
		p.sent += int64(n)
	}
	if p.cutsLeft > 0 && p.sent >= p.cutAt {
		p.cutAt = p.sent + p.cutEvery
		p.cutsLeft--
		p.cuts++
		p.cut()
		p.mu.Unlock()
		return false
	}
	healed, stalled, rate := p.healed, p.stallAt > 0 && p.sent >= p.stallAt, p.rate
	if p.pauseAt > 0 && p.sent >= p.pauseAt {
		p.pauseAt = p.sent + p.pauseEvery
		p.paused = time.Now().Add(p.pause)
	}
	resume := p.paused
	p.mu.Unlock()
	if wait := time.Until(resume); wait > 0 {
		select {
		case <-time.After(wait):
		case <-healed:
		}
	}
	if stalled {
		<-healed
	} else if count && rate > 0 {
		select {
		case <-time.After(time.Duration(n) * time.Second / time.Duration(rate)):
		case <-healed:
		}
	}
	return true
}
