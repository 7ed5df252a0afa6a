package match_test

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/match"
)

func ExampleMatch() {
	fmt.Println(match.Match("sensors/+/temp", "sensors/7/temp"))
	fmt.Println(match.Match("sensors/#", "sensors"))
	fmt.Println(match.Match("#", "$SYS/uptime"))
	fmt.Println(match.Match("$share/workers/sensors/#", "sensors/7"))
	// Output:
	// true
	// true
	// false
	// true
}

func ExampleMatchPlain() {
	fmt.Println(match.MatchPlain("$share/workers/#", "sensors/7"))
	fmt.Println(match.MatchPlain("$share/workers/#", "$share/workers/7"))
	// Output:
	// false
	// true
}

func ExampleValidateTopic() {
	fmt.Println(match.ValidateTopic("sensors/7/temp"))
	fmt.Println(match.ValidateTopic("sensors/+/temp"))
	// Output:
	// <nil>
	// topic name "sensors/+/temp" has a wildcard
}

func ExampleValidateFilter() {
	fmt.Println(match.ValidateFilter("sensors/+/temp"))
	fmt.Println(match.ValidateFilter("sensors/#/temp"))
	fmt.Println(match.ValidateFilter("$share/workers"))
	// Output:
	// <nil>
	// topic filter "sensors/#/temp" has # before the last level
	// topic filter "$share/workers" has nothing after the share name
}

func ExampleValidatePlainFilter() {
	fmt.Println(match.ValidatePlainFilter("$share/workers"))
	// Output: <nil>
}

func ExampleHasWildcard() {
	fmt.Println(match.HasWildcard("sensors/+/temp"), match.HasWildcard("sensors/7/temp"))
	// Output: true false
}

func ExampleSplitShared() {
	share, rest, ok := match.SplitShared("$share/workers/sensors/#")
	fmt.Println(share, rest, ok)
	// Output: workers sensors/# true
}

func ExampleTree() {
	var routes match.Tree[string]
	routes.Insert("sensors/+/temp", "thermometer")
	routes.Insert("sensors/#", "archive")
	routes.Insert("sensors/7/temp", "seven")
	routes.Delete("sensors/7/temp", "seven")

	found := routes.Append(nil, "sensors/7/temp")
	slices.Sort(found)
	fmt.Println(found, routes.Len())
	// Output: [archive thermometer] 2
}

func ExampleTree_Match() {
	var routes match.Tree[string]
	routes.Insert("sensors/+/temp", "thermometer")
	for handler := range routes.Match("sensors/7/temp") {
		fmt.Println(handler)
	}
	// Output: thermometer
}

func ExampleTree_All() {
	var routes match.Tree[string]
	routes.Insert("sensors/#", "archive")
	for filter, handler := range routes.All() {
		fmt.Println(filter, handler)
	}
	// Output: sensors/# archive
}
