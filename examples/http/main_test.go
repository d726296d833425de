package main

func Example() {
	main()
	// Output:
	// loading ann
	// got ann@example.com
	// got ann@example.com
	// got ann@example.com
	// loading ann
	// got ann@example.com again
	// loading nobody
	// nobody is not found: true
}
