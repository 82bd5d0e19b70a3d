package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// fetchClient fetches status from where relying parties do.
var fetchClient = &http.Client{Timeout: time.Minute}

// fetch gets what is at a URL.
func fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return send(r, limit)
}

// send sends a request and returns the body of a successful answer.
func send(r *http.Request, limit int64) ([]byte, error) {
	resp, err := fetchClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.URL, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", r.URL, limit)
	}
	return body, err
}
