package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wellFormed returns the names of all elements.
func wellFormed(t *testing.T, svg string) (names []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			names = append(names, e.Name.Local)
		}
	}
}

func TestTextOfOthersStaysText(t *testing.T) {
	c := Chart{Title: `a"b<c>`, X: Axis{Name: "<x>"}, Series: []Series{{Name: "</svg>", Points: []Point{{0, 0}, {1, 1}}}}}
	svg := c.SVG()
	wellFormed(t, svg)
	require.NotContains(t, svg, "<x>")
	require.Equal(t, 1, strings.Count(svg, "</svg>"))
}

func TestWithoutPointsThereIsNothing(t *testing.T) {
	require.Empty(t, (&Chart{}).SVG())
	require.Empty(t, (&Chart{Series: []Series{{Points: []Point{{1, math.NaN()}}}}}).SVG())
	require.Empty(t, (&Chart{Y: Axis{Log: true}, Series: []Series{{Points: []Point{{1, 0}}}}}).SVG())
}

func TestLinesStayInside(t *testing.T) {
	for _, log := range []bool{false, true} {
		for _, values := range [][]float64{{5}, {5, 5}, {1e-9, 1e9}, {3, 700}, {0.1, 0.2, 0.3}} {
			c := Chart{X: Axis{Log: log}, Y: Axis{Log: log}}
			var points []Point
			for i, v := range values {
				points = append(points, Point{float64(i + 1), v})
			}
			c.Series = []Series{{Points: points}}
			require.NotContains(t, c.SVG(), "NaN")
			y, ok := c.Y.scale(values, height-bottom, top)
			require.True(t, ok)
			require.NotEmpty(t, y.ticks)
			for _, v := range append(values, y.ticks[0].Value, y.ticks[len(y.ticks)-1].Value) {
				require.GreaterOrEqual(t, y.place(v), top)
				require.LessOrEqual(t, y.place(v), height-bottom)
			}
		}
	}
}

func TestLineIsInterrupted(t *testing.T) {
	x := scale{low: 0, high: 4, begin: 0, end: 4}
	y := scale{low: 0, high: 1, begin: 10, end: 0}
	nan := math.NaN()
	require.Equal(t, "M0.0 10.0L1.0 0.0M3.0 10.0h0.1", path([]Point{{0, 0}, {1, 1}, {2, nan}, {3, 0}, {4, nan}}, x, y))
}

func TestTicksAreRound(t *testing.T) {
	texts := func(a Axis, low, high float64) (all []string) {
		s, ok := a.scale([]float64{low, high}, 0, 1)
		require.True(t, ok)
		for _, t := range s.ticks {
			all = append(all, t.Label)
		}
		return all
	}
	require.Equal(t, []string{"0", "2", "4", "6", "8", "10"}, texts(Axis{Zero: true}, 0, 10))
	require.Equal(t, []string{"0", "0.2", "0.4", "0.6", "0.8", "1", "1.2", "1.4", "1.6"}, texts(Axis{Zero: true}, 0, 1.6))
	require.Equal(t, []string{"10", "20", "50", "100"}, texts(Axis{Log: true}, 12, 90))
	require.Equal(t, []string{"1", "10", "100", "1000", "10000"}, texts(Axis{Log: true}, 1, 9000))
}
