// Package report is what is known of a run at its end, and how it is shown: figures, thresholds,
// comparisons of two runs, and the page, JSON, JUnit and HdrHistogram forms of them.
//
// A Document holds all of it in a size that does not depend on the number of results. The package
// knows no queue and no result record; package output measures, and fills the Document.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/glassq/glassq"
)

// DocumentVersion is what Document.Version is; other versions are not read.
const DocumentVersion = 1

// maxDocument is the longest document that is read, in bytes.
const maxDocument = 64 << 20

// A Document is everything that an output found out, as --summary json prints it. Thresholds are
// judged by it. Times are seconds, moments are seconds since the epoch, shares are 0 to 1. Its size
// does not depend on the number of results.
type Document struct {
	Version int       `json:"glassq_summary"`
	Run     string    `json:"run,omitempty"`
	Queue   string    `json:"queue,omitempty"` // that results were taken from
	Made    time.Time `json:"made"`
	Took    float64   `json:"took"`              // seconds that this output ran
	Program string    `json:"program,omitempty"` // name and version
	Command string    `json:"command,omitempty"` // as a shell would take it, without what is secret

	Books    *glassq.Books `json:"books,omitempty"` // of the run; absent without one
	Job      *glassq.Job   `json:"job,omitempty"`   // the run and its retries as one, when it has any
	Pending  uint64        `json:"pending"`
	Dead     uint64        `json:"dead"`
	Total    uint64        `json:"total"` // tasks of the run, once it is sealed
	Complete bool          `json:"complete"`
	Balanced bool          `json:"balanced"`

	// Results are all in the file, or printed: all figures below are of them, those of earlier
	// calls included.
	Results    uint64 `json:"results"`
	Before     uint64 `json:"before"` // of these, what a continued file had
	OK         uint64 `json:"ok"`
	Failed     uint64 `json:"failed"`
	NoRecord   uint64 `json:"no_record"` // were no JSON objects; they count as ok
	Missing    uint64 `json:"missing"`
	ReadBefore uint64 `json:"read_before"` // are not here, because another reader took them
	Duplicates uint64 `json:"duplicate"`
	Bytes      uint64 `json:"bytes"` // that results say were received

	Rate    Rate    `json:"rate"`
	Service Latency `json:"service"` // from start to done, as workers measured it
	Due     Latency `json:"due"`     // from the due moment to done

	Errors   []ErrorCount `json:"errors"`   // most frequent first
	Codes    []CodeCount  `json:"codes"`    // by status, or exit status, most frequent first
	Failures []Failure    `json:"failures"` // some of the failed results, a few of each class
	Groups   []Grouping   `json:"groups"`   // by host, and by what was asked for
	Slowest  []Slow       `json:"slowest"`
	Series   Series       `json:"series"`

	Rules []Verdict `json:"rules,omitempty"` // of --fail-if
}

// Rate is how fast it went, in results per second.
type Rate struct {
	// Asked is the highest rate that tasks of the run were handed out under, or that their queue
	// was set to while this output ran; 0 for none. Stages is the schedule that it is of, "" for a
	// flat rate.
	Asked   float64     `json:"asked"`
	Stages  string      `json:"stages,omitempty"`
	Changes []AskedRate `json:"changes,omitempty"`
	// GivenUp is how many tasks were due by the schedule, were not asked for in time, and were not
	// made good.
	GivenUp uint64 `json:"given_up"`
	// Reached is over the time from the first start to the last end that results name, without the
	// pause before the call that continued them, or, when few name them, over the time that this
	// output ran.
	Reached float64 `json:"reached"`
	Span    float64 `json:"span"` // that time, in seconds
	// Deviation is that of the whole seconds from their mean, relative; 0 when there are too few.
	Deviation float64 `json:"deviation"`
	Taken     float64 `json:"taken"` // results per second that this output wrote
	Late      uint64  `json:"late"`  // began more than 10 ms after they were due
}

// An AskedRate is the rate that was asked for from a moment on; 0 for none.
type AskedRate struct {
	T    float64 `json:"t"`
	Rate float64 `json:"rate"`
}

// WriteJSON writes the document on one line.
func (d *Document) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// ReadDocument reads what WriteJSON wrote. The error has code bad_request for what is no summary.
func ReadDocument(r io.Reader) (*Document, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxDocument {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "longer than any summary (%d bytes)", maxDocument)
	}
	d := new(Document)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "no summary: %w; make one with glassq output --summary-out FILE",
			err)
	}
	if d.Version != DocumentVersion {
		return nil, glassq.Errorf(glassq.CodeBadRequest,
			"no summary of version %d (glassq_summary is %d); make one with glassq output --summary-out FILE", DocumentVersion,
			d.Version)
	}
	return d, nil
}

// An ErrorCount is how many failed results had one error class.
type ErrorCount struct {
	Class string `json:"class"` // "status 404" for a status, "unknown" for none
	Count uint64 `json:"count"`
}

// A CodeCount is how many results had one status.
type CodeCount struct {
	Code   string `json:"code"` // "other" for the rest of very many
	Count  uint64 `json:"count"`
	Failed uint64 `json:"failed"`
}

// A Failure is one failed result.
type Failure struct {
	ID      string `json:"id"`
	Input   string `json:"input,omitempty"` // the first 300 bytes
	Err     string `json:"err"`
	Code    int    `json:"code,omitempty"`
	Message string `json:"msg,omitempty"`
	Excerpt string `json:"excerpt,omitempty"` // the first 300 bytes of the body, or of what a command printed, when kept
}

// A Grouping is the results by one key, largest group first. Of more than 200 keys those that came
// first have a group; the rest are together in one named other.
type Grouping struct {
	By     string  `json:"by"`
	Groups []Group `json:"groups"`
}

// A Group is the results with one key.
type Group struct {
	Key     string       `json:"key"`
	Count   uint64       `json:"count"`
	Failed  uint64       `json:"failed"`
	Service Latency      `json:"service"` // within 1 %
	Errors  []ErrorCount `json:"errors,omitempty"`
}

// A Slow result is one of the slowest.
type Slow struct {
	ID      string  `json:"id"`
	Input   string  `json:"input,omitempty"` // the first 300 bytes
	Seconds float64 `json:"rt"`
	Lag     float64 `json:"lag"`
	Code    int     `json:"code,omitempty"`
	Err     string  `json:"err,omitempty"`
	Worker  string  `json:"worker,omitempty"`
	Start   float64 `json:"t,omitempty"` // epoch seconds
}
