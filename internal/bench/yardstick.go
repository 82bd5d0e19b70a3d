package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// yardsticks are what pando is measured against, found anew beside each
// measurement.
type yardsticks struct {
	program string
	limit   *limit
	handler *process // nil until a row needs it
	ask     *load

	limits, handlers []float64 // CPU, microseconds
}

func (y *yardsticks) start(program string) (err error) {
	y.program = program
	y.limit, err = newLimit()
	return err
}

func (y *yardsticks) stop() error {
	if y.handler == nil {
		return nil
	}
	return y.handler.end()
}

// besideLimit runs work and finds the machine's limit on all cores just before and
// just after it.
func (b *bench) besideLimit(work func() error) (pace, error) {
	before, err := b.yard.limit.measure(b.length/8, runtime.GOMAXPROCS(0))
	if err != nil {
		return pace{}, fmt.Errorf("measuring the limit: %w", err)
	}
	if err := work(); err != nil {
		return pace{}, err
	}
	after, err := b.yard.limit.measure(b.length/8, runtime.GOMAXPROCS(0))
	if err != nil {
		return pace{}, fmt.Errorf("measuring the limit: %w", err)
	}
	p := pace{rate: (before.rate + after.rate) / 2, cpu: (before.cpu + after.cpu) / 2}
	b.yard.limits = append(b.yard.limits, p.cpu)
	b.tell("limit: %.1f and %.1f µs of CPU, %.0f and %.0f a second on all cores", before.cpu, after.cpu, before.rate, after.rate)
	return p, nil
}

// measureBesideLimit measures a load on the server beside the limit.
func (b *bench) measureBesideLimit(ctx context.Context, l *load, d time.Duration) (r *result, limit pace, err error) {
	limit, err = b.besideLimit(func() (err error) {
		r, err = l.measure(ctx, b.server, d)
		return err
	})
	return r, limit, err
}

// bareAnswer is what the bare handler sends.
const bareAnswer = 500

// ServeHandler is the bare handler's process: it serves on a free port, which it
// writes to out, until in ends.
func ServeHandler(in io.Reader, out io.Writer) error {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := bytes.Repeat([]byte{'x'}, bareAnswer)
	go http.Serve(socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) }))
	if _, err := fmt.Fprintln(out, socket.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, socket.Close())
}

// startHandler starts the bare handler where it does not run yet.
func (b *bench) startHandler(ctx context.Context) error {
	y := &b.yard
	if y.handler != nil {
		return nil
	}
	p, err := begin(ctx, y.program, filepath.Join(b.dir, "handler.log"), "bench", "--serve-handler")
	if err != nil {
		return err
	}
	y.handler = p
	address, err := bufio.NewReader(p.stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("starting the bare handler: %w\n%s", err, lastWords(b.dir, "handler.log"))
	}
	address = strings.TrimSpace(address)
	y.ask = &load{
		clients: clients, dial: plain(address), status: http.StatusOK,
		requests: repeated(message("GET", address, "/", nil, nil)),
	}
	return nil
}

// besideHandler runs work and finds the CPU of the bare handler just before and
// just after it.
func (b *bench) besideHandler(ctx context.Context, work func() error) (cpu float64, err error) {
	if err := b.startHandler(ctx); err != nil {
		return 0, err
	}
	y := &b.yard
	before, err := y.ask.measure(ctx, y.handler, b.length/4)
	if err != nil {
		return 0, fmt.Errorf("measuring the bare handler: %w", err)
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := y.ask.measure(ctx, y.handler, b.length/4)
	if err != nil {
		return 0, fmt.Errorf("measuring the bare handler: %w", err)
	}
	cpu = (before.cpu + after.cpu) / 2
	y.handlers = append(y.handlers, cpu)
	b.tell("handler: %.2f and %.2f µs of CPU, %.0f and %.0f a second", before.cpu, after.cpu, before.rate, after.rate)
	return cpu, nil
}
