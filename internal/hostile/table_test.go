package hostile

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// table gathers what the long form has measured, for docs/hostile.md.
type table struct {
	head string
	row  func(r *result) string

	mu   sync.Mutex // guards rows
	rows []result
}

var brokerTable = &table{
	head: "attack on the broker | limit MiB | peak MiB | honest rounds | failed | logins within 1 s | login p50 | p99 | round trip p50 | p99",
	row: func(r *result) string {
		return fmt.Sprintf("%s | %s | %s | %d | %d | %s | %s | %s | %s | %s", r.name, r.limits(), r.peaks(), r.rounds, r.failures,
			percent(r.prompt, r.rounds), ms(r.logins, 0.5), ms(r.logins, 0.99), ms(r.trips, 0.5), ms(r.trips, 0.99))
	},
}

var clientTable = &table{
	head: "attack on the client | limit MiB | peak MiB | publishes beside | failed | p50 | p99 | longest call with 50 ms",
	row: func(r *result) string {
		return fmt.Sprintf("%s | %s | %s | %d | %d | %s | %s | %s", r.name, r.limits(), r.peaks(), r.rounds, r.failures,
			ms(r.trips, 0.5), ms(r.trips, 0.99), ms([]time.Duration{r.longest}, 0))
	},
}

func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", t.head, strings.Repeat("---|", strings.Count(t.head, "|")+1))
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s |\n", t.row(&r))
	}
}

func (r *result) limits() string {
	if r.limit == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f × %d", mib(r.limit), r.multiple)
}

func (r *result) peaks() string {
	if r.died != nil {
		return fmt.Sprintf("ended at %.0f", mib(r.peak))
	}
	return fmt.Sprintf("%.0f", mib(r.peak))
}

func percent(n, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%d %%", 100*n/of)
}

func ms(all []time.Duration, q float64) string {
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f ms", quantile(all, q).Seconds()*1000)
}

// quantile returns the q-th of some durations, and 0 if there are none.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(all), cmp.Compare[time.Duration])
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
