// SPDX-License-Identifier: MIT
// The parts of the page that calculate: node --test tests/page
import assert from "node:assert/strict";
import {readdirSync, readFileSync, statSync} from "node:fs";
import {join} from "node:path";
import test from "node:test";

globalThis.HTMLElement = class {};
globalThis.customElements = {define() {}};
globalThis.document = {baseURI: "http://host/prefix/"};

const page = new URL("../../bridge/web/page/", import.meta.url);
const load = (name) => import(new URL(name, page));

const {spanAt, spanOf, stepped, comparedSpan, usualBucket, bucketsFor, resolutionsFor, dateText, parseDate} =
  await load("views/history/spans.js");
const {flowOf, roleOf, channelsOf} = await load("parts/channels.js");
const {steadiness} = await load("views/device/steady.js");
const {matrixOf} = await load("views/device/matrix.js");
const {deviceFor, idFrom} = await load("views/setup/device_for.js");
const {kindOf, settingsOf, wordsOf} = await load("parts/schema_form.js");
const {parseRoute, formatRoute} = await load("parts/route.js");
const {chooseLanguage} = await load("parts/language.js");
const {mergeSeries, thin} = await load("parts/chart.js");
const {pathsOf} = await load("views/overview/sparkline.js");
const {isEstimated, powerQuery, rangeOf, totalOf} = await load("views/history/load.js");
const {filtered} = await load("views/logs/logs.js");
const {contentsOf} = await load("views/about/backup.js");
const {cancelLeaves, progressOf, leftBy, filesOf, factsOf, brokerFor} = await load("views/provisioning/progress.js");
const {newOnes} = await load("views/overview/found.js");
const {rawRows} = await load("views/device/raw.js");
const {address} = await load("parts/api.js");
const {texts: en} = await load("texts/en.js");
const {texts: de} = await load("texts/de.js");
const schema = JSON.parse(readFileSync(new URL("../../schema/bridge.schema.json", import.meta.url)));

test("every module can be loaded", async () => {
  const files = readdirSync(page, {recursive: true}).filter((name) => name.endsWith(".js") && name !== "app.js");
  assert.ok(files.length > 30);
  for (const name of files) await load(name);
});

const local = (...parts) => new Date(...parts).getTime();

test("spans hold the day, begin on Monday, and follow the calendar", () => {
  const at = new Date(2026, 10, 29); // a Sunday
  assert.deepEqual(spanAt("day", at).map(Number), [local(2026, 10, 29), local(2026, 10, 30)]);
  assert.deepEqual(spanAt("week", at).map(Number), [local(2026, 10, 23), local(2026, 10, 30)]);
  assert.deepEqual(spanAt("month", new Date(2026, 1, 3)).map(Number), [local(2026, 1, 1), local(2026, 2, 1)]);
  assert.deepEqual(spanAt("year", at).map(Number), [local(2026, 0, 1), local(2027, 0, 1)]);
});

test("a step forward and one back come to the same span", () => {
  for (const range of ["day", "week", "month", "year"]) {
    for (const at of ["2026-01-31", "2026-03-29", "2026-10-25", "2028-02-29"]) {
      const span = spanOf({range, at});
      const next = stepped({range, at}, 1);
      assert.equal(Number(spanOf(next)[0]), Number(span[1]), `${range} ${at}`);
      assert.deepEqual(spanOf(stepped(next, -1)).map(Number), span.map(Number), `${range} ${at}`);
    }
  }
});

test("a custom span steps by its own length, and nonsense falls back to today", () => {
  const now = new Date(2026, 5, 15, 12);
  const custom = {range: "custom", from: "2026-06-01T00:00:00Z", to: "2026-06-03T00:00:00Z"};
  assert.equal(stepped(custom, 1).from, "2026-06-03T00:00:00.000Z");
  assert.deepEqual(spanOf({range: "custom", from: "x", to: "y"}, now), spanAt("day", now));
  assert.deepEqual(spanOf({range: "custom", from: custom.to, to: custom.from}, now), spanAt("day", now));
  assert.equal(dateText(parseDate("nonsense", now)), "2026-06-15");
});

test("compared spans", () => {
  const parameters = {range: "month", at: "2026-03-10"};
  assert.deepEqual(comparedSpan("previous", parameters).map(dateText), ["2026-02-01", "2026-03-01"]);
  assert.deepEqual(comparedSpan("year", parameters).map(dateText), ["2025-03-01", "2025-04-01"]);
  assert.equal(comparedSpan("none", parameters), null);
});

test("buckets and resolutions suit the span", () => {
  const day = spanOf({range: "day", at: "2026-03-10"});
  const year = spanOf({range: "year", at: "2026-03-10"});
  assert.equal(usualBucket(day), "hour");
  assert.equal(usualBucket(year), "month");
  assert.ok(bucketsFor(year, "energy").includes("hour") && !bucketsFor(year, "energy").includes("15m"));
  assert.deepEqual(bucketsFor(day, "cost"), ["day"]);
  assert.ok(resolutionsFor(day).includes("1s") && !resolutionsFor(year).includes("1s") && resolutionsFor(year).includes("1h"));
});

test("the flow of power", () => {
  assert.deepEqual(flowOf([{role: "load", power: 500}, {role: "solar", power: -1500}]), {grid: -1000, solar: 1500, home: 500});
  assert.deepEqual(flowOf([{role: "grid", power: -800}, {role: "solar", power: -1500}]), {grid: -800, solar: 1500, home: 700});
  assert.deepEqual(flowOf([{role: "grid", power: 300}]), {grid: 300, solar: null, home: 300});
  assert.deepEqual(flowOf([{role: "solar", power: 4}, {role: "load", power: 10}]), {grid: 10, solar: 0, home: 10});
  assert.deepEqual(flowOf([{role: "load", power: null}]), {grid: null, solar: null, home: null});
  assert.deepEqual(flowOf([{role: "none", power: 5}, {role: "load", power: 7}]), {grid: 7, solar: null, home: 7});
});

test("what a channel is", () => {
  const [a, b] = channelsOf([{id: "house", friendly_name: "House", channels: ["a", "b"],
    exposes: [{property: "power_a"}, {property: "energy_a"}, {property: "energy_produced_a"}, {property: "power_b"}]}]);
  assert.equal(a.name, "House A");
  assert.equal(a.key("power"), "power_a");
  assert.equal(roleOf(a, {energy_a: 1, energy_produced_a: 400}), "solar");
  assert.equal(roleOf(a, {energy_a: 500, energy_produced_a: 400}), "load");
  assert.equal(roleOf(b, undefined, {"house/b": "grid"}), "grid");
  const [roof] = channelsOf([{id: "pv_roof", friendly_name: "Roof", channels: ["a"], exposes: [{property: "power"}]}]);
  assert.equal(roof.key("power"), "power");
  assert.equal(roleOf(roof, {}), "solar");
  assert.deepEqual(channelsOf([{id: "x", disabled: true, channels: ["a"]}]), []);
});

test("steady loads", () => {
  const list = (...powers) => powers.map((power) => ({power, current: 1}));
  assert.equal(steadiness(list(100, 100)).verdict, "waiting");
  assert.equal(steadiness(list(100, 101, 100, 100)).verdict, "steady");
  assert.equal(steadiness(list(100, 110, 100, 100)).verdict, "unsteady");
  assert.equal(steadiness(list(100, 100, 100, 100).map((one) => ({...one, current: 0.01}))).verdict, "small");
});

test("the table of a device", () => {
  const {columns, rows} = matrixOf({channels: ["a", "b"], exposes: [{property: "power_a"}, {property: "power_b"}, {property: "power"},
    {property: "last_seen"}]});
  assert.deepEqual(columns, ["a", "b", ""]);
  assert.deepEqual(rows.map((row) => row.cells.map((cell) => cell?.property)), [["power_a", "power_b", "power"], [undefined, undefined, "last_seen"]]);
  assert.deepEqual(matrixOf({channels: ["a"], exposes: [{property: "power"}]}).columns, [""]);
});

test("new devices", () => {
  assert.equal(idFrom("Küche & Bad", []), "kueche_bad");
  assert.equal(idFrom("House", ["house", "house_2"]), "house_3");
  assert.equal(idFrom("Bridge", []), "meter");
  assert.equal(idFrom("!!!", []), "meter");
  assert.deepEqual(deviceFor({way: "serial", id: "x", name: "X", port: "/dev/a", chips: [{address: 0, baud: 9600}, {address: 1}]}).channels,
    {a: {port: "/dev/a", baud: 9600, address: 0}, b: {port: "/dev/a", address: 1}});
  assert.equal(deviceFor({way: "tcp", id: "x", name: "X", address: "host:1"}).channels.a.port, "tcp://host:1");
  assert.equal(deviceFor({way: "tcp", id: "x", name: "X", address: "rfc2217://host:1"}).channels.a.port, "rfc2217://host:1");
});

test("controls for schemas", () => {
  assert.equal(kindOf({type: "boolean"}, "x"), "flag");
  assert.equal(kindOf({enum: ["a", 1]}, "x"), "choice");
  assert.equal(kindOf({type: ["string", "number"]}, "password"), "secret");
  assert.equal(kindOf({type: ["string", "number"]}, "user"), "text");
  assert.equal(kindOf({type: "integer"}, "x"), "number");
  assert.equal(kindOf({type: ["array", "null"], items: {properties: {}}}, "x"), "list");
  assert.equal(kindOf({type: "array", items: {type: "string"}}, "x"), "words");
  assert.deepEqual(wordsOf(" a, b ,,c"), ["a", "b", "c"]);
});

test("addresses of views", () => {
  const to = {name: "device", rest: ["a b/c"], parameters: {x: "1", empty: ""}};
  assert.deepEqual(parseRoute(formatRoute(to)), {...to, parameters: {x: "1"}});
  assert.equal(parseRoute("").name, "overview");
  assert.equal(String(address("history/power", {device: "a b", channel: ""})), "http://host/prefix/api/v1/history/power?device=a+b");
});

test("languages", () => {
  assert.equal(chooseLanguage(null, ["fr-FR", "de-AT", "en"]), "de");
  assert.equal(chooseLanguage("en", ["de"]), "en");
  assert.equal(chooseLanguage("xx", []), "en");
  assert.deepEqual(Object.keys(de), Object.keys(en));
  for (const [key, text] of Object.entries(en)) {
    const names = (words) => [...words.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
    assert.deepEqual(names(de[key]), names(text), key);
    assert.ok(de[key] !== "", key);
  }
});

test("every text that is used exists", () => {
  const files = (folder) => readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : path.endsWith(".js") ? [path] : [];
  });
  for (const file of files(page.pathname)) {
    for (const [, key] of readFileSync(file, "utf8").matchAll(/\bt\("([^"]+)"/g)) assert.ok(key in en, `${key} in ${file}`);
  }
});

test("series of several channels in one table", () => {
  const rows = mergeSeries([{points: [[1000, 5], [2000, 6]]}, {points: [[2000, 7], [3000, 8]]}]);
  assert.deepEqual(rows.map(([time, ...values]) => [Number(time), ...values]), [[1000, 5, null], [2000, 6, 7], [3000, null, 8]]);
  assert.deepEqual(mergeSeries([{points: [[1000, 1, 2, 3]]}])[0][1], [1, 2, 3]);
});

test("thinning keeps peaks and gaps", () => {
  const points = Array.from({length: 86400}, (unused, second) => [second * 1000, 90, 100, 110]);
  points[40000] = [40000000, 1, 100, 9999];
  for (let second = 50000; second < 52000; second += 1) points[second] = [second * 1000, null, null, null];
  const thinned = thin(points, 900);
  assert.equal(thinned.length, 900);
  assert.equal(Math.max(...thinned.map(([, , , max]) => max ?? 0)), 9999);
  assert.equal(Math.min(...thinned.map(([, min]) => min ?? Infinity)), 1);
  assert.ok(thinned.filter(([, , mean]) => mean === null).length >= 19);
  assert.equal(thin(points.slice(0, 10), 900).length, 10);
});

test("the small line leaves gaps open", () => {
  const now = 3600000;
  const {line} = pathsOf([[0, 1, 1, 1], [60000, 2, 2, 2], [1200000, 3, 3, 3], [1260000, null], [1320000, 4, 4, 4]], now);
  assert.equal(line.match(/M/g).length, 3);
  assert.deepEqual(pathsOf([], now), {line: "", band: ""});
});

test("a picture asks for no more than it can show", () => {
  const day = [local(2026, 10, 29), local(2026, 10, 30)];
  assert.deepEqual(powerQuery(day, "1s", 800), {points: 3200}); // instead of 86,400
  assert.deepEqual(powerQuery(day, "1m", 800), {bucket: "1m"});
  assert.deepEqual(powerQuery([day[0], day[0] + 600000], "1s", 800), {bucket: "1s"}); // zoomed in, every second is there
  assert.deepEqual(powerQuery(day, "", 800), {points: 800});
});

test("sums of the history", () => {
  const past = {end: "2026-01-01T01:00:00Z"};
  assert.equal(isEstimated({...past, coverage: 1}), false);
  assert.equal(isEstimated({...past, coverage: 0.5}), true);
  assert.equal(isEstimated({...past, coverage: 0}), false); // nothing at all is a gap
  assert.equal(isEstimated({...past, coverage: 1, energy_from_files_kwh: 2}), true);
  assert.equal(isEstimated({end: "2999-01-01T00:00:00Z", coverage: 0.2}), false); // not over yet
  assert.deepEqual(rangeOf([[0, 1, 2, 3], [1, 0, 4, 9], [2, null, null, null]]), {mean: 3, min: 0, max: 9});
  assert.equal(rangeOf([]), null);
  assert.equal(totalOf([{x: 1}, {x: null}, {x: 2}], "x"), 3);
});

test("filters of the log", () => {
  const lines = [{level: "info", message: "One"}, {level: "error", message: "two"}, {level: "debug", message: "three"}];
  assert.deepEqual(filtered(lines, "info", "").map((line) => line.message), ["two", "One"]);
  assert.deepEqual(filtered(lines, "error", "").length, 1);
  assert.deepEqual(filtered(lines, "info", "ONE").length, 1);
});

test("meters on the broker that nobody reads", () => {
  const modules = [{topic: "a", configured: true}, {topic: "b", id: "b"}, {topic: "c", device: {id: "c"}}, {topic: "d", id: "d"}];
  assert.deepEqual(newOnes(modules, ["d"]).map((module) => module.topic), ["b", "c"]);
  assert.deepEqual(newOnes(undefined, []), []);
});

test("raw registers of several channels", () => {
  const register = (name, value, unit = "") => ({name, value, unit});
  const answer = {channels: {a: {registers: [register("WATT", -5)]}, b: {registers: [register("WATT", 7), register("FREQ", 20000, "us")]}}};
  assert.deepEqual(rawRows(answer, String), [{name: "WATT", cells: ["-5", "7"]}, {name: "FREQ", cells: ["–", "20000 us"]}]);
});

test("what a checked backup holds", () => {
  const words = {history: (count, first, last) => `${count} ${first} ${last}`, emptyHistory: "empty", config: (names) => names.join()};
  const channel = (first, last) => ({first, last});
  const history = {problem: null, channels: [channel("2026-02", "2026-05"), channel("2026-01", "2026-03"), {}]};
  assert.deepEqual(contentsOf({history, config: {problem: null, devices: ["A", "B"]}}, words),
    {lines: ["3 2026-01 2026-05", "A,B"], history: true, config: true});
  assert.deepEqual(contentsOf({history: {problem: null, channels: []}, config: null}, words), {lines: ["empty"], history: true, config: false});
  assert.deepEqual(contentsOf({history: {problem: "It is damaged.", channels: []}, config: {problem: "Bad key.", devices: []}}, words),
    {lines: ["It is damaged.", "Bad key."], history: false, config: false});
});

test("a job on a module in words", () => {
  assert.deepEqual(progressOf({done: 512, total: 2048, bytes_per_s: 100, remaining_s: 15}), {percent: 25, rate: 100, remaining: 15});
  assert.deepEqual(progressOf({done: 0, total: 1}), {percent: null, rate: null, remaining: null});
  assert.equal(leftBy({state: "done", changing: true}), null);
  assert.equal(leftBy({state: "running", changing: true}), null);
  assert.equal(leftBy({state: "cancelled", changing: false}), "flash.leftUnchanged");
  assert.equal(leftBy({state: "failed", changing: true}), "flash.leftChanged");
  assert.deepEqual(filesOf({file: "/data/web/files/module-a.bin", backup: null}), ["module-a.bin"]);
  assert.deepEqual(filesOf({backup: "/elsewhere/b.bin"}), []);
  assert.deepEqual(factsOf({chip: "BK7231N", mac: "", error: null, steps: [1], application: {version: "1.18"}, list: []}),
    [["chip", "BK7231N"], ["application version", "1.18"]]);
  assert.deepEqual(factsOf(null), []);
  assert.deepEqual(brokerFor("mqtts://broker.lan:8883"), {host: "broker.lan", port: "8883"});
  assert.deepEqual(brokerFor("mqtt://127.0.0.1:1883"), {host: "", port: "1883"});
  assert.deepEqual(brokerFor("mqtt://[fd00::2]"), {host: "[fd00::2]", port: "1883"});
  assert.deepEqual(brokerFor(undefined), {host: "", port: "1883"});
});

test("what stopping a job leaves depends on what it does", () => {
  assert.equal(cancelLeaves({job: "backup", changing: false}), "flash.cancelHarmless");
  assert.equal(cancelLeaves({job: "provision", changing: true}), "flash.cancelChanging");
  assert.equal(cancelLeaves({job: "openbeken-provision", changing: true}), "network.cancelChanging");
  assert.equal(leftBy({job: "openbeken-provision", state: "failed", changing: true}), null, "its error says it");
  assert.equal(leftBy({job: "openbeken-provision", state: "cancelled", changing: false}), "flash.leftUnchanged");
  assert.equal(leftBy({job: "provision", state: "failed", changing: true}), "flash.leftChanged");
});

test("every group of the settings has a name in words, and Home Assistant is one though true or false may stand for it", () => {
  const {properties} = schema;
  for (const key of Object.keys(properties).filter((name) => name !== "devices")) assert.ok(en[`group.${key}`] && de[`group.${key}`], key);
  assert.equal(kindOf(properties.devices.items.properties.homeassistant, "homeassistant"), "group");
});

test("settings and diagnostics are not among what a device measures", () => {
  const {rows, facts} = matrixOf({channels: ["a", "b"], exposes: [{property: "power_a", unit: "W"}, {property: "power"},
    {property: "cost_today", unit: "EUR"}, {property: "power_factor_a", unit: "%", category: "diagnostic"},
    {property: "retain", category: "config"}, {property: "day_start", category: "diagnostic"}]});
  assert.deepEqual(rows.map(({name, unit}) => [name, unit]), [["power", "W"], ["cost_today", ""], ["power_factor", "%"]]);
  assert.deepEqual(facts.map(({property}) => property), ["day_start"]);
});
