// Spec lists what the standards ask of a server and which tests name it.
//
// The statements are data: mqtt5.txt, mqtt311.txt and mqtt31.txt beside this
// file say their numbers, whom they bind and what they ask. A test names a
// statement by beginning a string with its number, "MQTT-4.3.3-10 ..." (5.0),
// "MQTT311-3.1.2-24 ..." or "MQTT31-3.1-4 ...": the name of a subtest, a row of
// a table, or a section of a wire script. Several numbers may stand there.
//
// The program fails if a statement that binds servers has no test, if a test
// names a number that does not exist, and if a wire script names a statement
// of a version for which it does not run.
package main
