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

// measureLimit finds the machine's limit on all cores.
func (b *bench) measureLimit() (pace, error) {
	p, err := b.yard.limit.measure(b.length/4, runtime.GOMAXPROCS(0))
	if err != nil {
		return p, fmt.Errorf("measuring the limit: %w", err)
	}
	b.yard.limits = append(b.yard.limits, p.cpu)
	b.tell("limit: %.1f µs of CPU, %.0f a second on all cores", p.cpu, p.rate)
	return p, nil
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

// measureHandler finds the CPU of a bare handler.
func (b *bench) measureHandler(ctx context.Context) (pace, error) {
	y := &b.yard
	if y.handler == nil {
		p, err := begin(ctx, y.program, filepath.Join(b.dir, "handler.log"), "bench", "--serve-handler")
		if err != nil {
			return pace{}, err
		}
		y.handler = p
		address, err := bufio.NewReader(p.stdout).ReadString('\n')
		if err != nil {
			return pace{}, fmt.Errorf("starting the bare handler: %w\n%s", err, lastWords(b.dir, "handler.log"))
		}
		address = strings.TrimSpace(address)
		y.ask = &load{
			clients: clients, dial: plain(address), status: http.StatusOK,
			requests: repeated(message("GET", address, "/", nil, nil)),
		}
	}
	r, err := y.ask.measure(ctx, y.handler, b.length/2)
	if err != nil {
		return pace{}, fmt.Errorf("measuring the bare handler: %w", err)
	}
	y.handlers = append(y.handlers, r.cpu)
	b.tell("handler: %.2f µs of CPU, %.0f a second", r.cpu, r.rate)
	return r.pace, nil
}
