package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// watch yields what is at a path, now and at each change, until it is at rest. A
// broken connection is taken up again. After an error it yields nothing more.
func watch[T any](ctx context.Context, c *Client, path string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for {
			seen, err := watchOnce(ctx, c, path, yield)
			switch {
			case err == nil:
				return
			case !seen || ctx.Err() != nil:
				yield(nil, err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(firstPause):
			}
		}
	}
}

var errCut = errors.New("the server ended the events before the job was at rest")

// watchOnce yields the events of one answer, as readEvents does.
func watchOnce[T any](ctx context.Context, c *Client, path string, yield func(*T, error) bool) (seen bool, err error) {
	body, err := c.open(ctx, call{method: http.MethodGet, path: path + "/events", accept: "text/event-stream"})
	if err != nil {
		return false, err
	}
	defer body.Close()
	return readEvents(body, yield)
}

// readEvents yields the data of server-sent events. It returns nil after the event
// of type end and when yield wants no more; seen tells whether there were any.
func readEvents[T any](body io.Reader, yield func(*T, error) bool) (seen bool, err error) {
	events := bufio.NewScanner(body)
	for events.Scan() {
		line := events.Bytes()
		if bytes.Equal(line, []byte("event: end")) {
			return true, nil
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		v := new(T)
		if err := json.Unmarshal(data, v); err != nil {
			return seen, fmt.Errorf("decoding an event: %w", err)
		}
		if seen = true; !yield(v, nil) {
			return true, nil
		}
	}
	if err := events.Err(); err != nil {
		return seen, fmt.Errorf("reading events: %w", err)
	}
	return seen, errCut
}
