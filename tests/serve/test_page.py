"""The page in a real browser: headless Chromium, by selenium. All that it loads comes from the server."""
import shutil
import time

import pytest

from tests.serve import planted

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (BROWSER and DRIVER):
  pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver.",
              allow_module_level=True)
selenium = pytest.importorskip("selenium", reason="selenium is missing: pip install -e '.[dev]'.")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common import keys  # noqa: E402

WIDE, PHONE = (1280, 900), (375, 740)


@pytest.fixture(scope="module")
def browser():
  options = webdriver.ChromeOptions()
  options.binary_location = BROWSER
  for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
    options.add_argument(argument)
  options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
  driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
  yield driver
  driver.quit()


class Model(planted.Model):
  """Says markup where it is asked for `markup`."""

  def _translate(self, text):
    said = super()._translate(text)
    return {"translation": "<img src=x onerror=alert(1)>", "score": None} if text == "markup" else said


@pytest.fixture(scope="module")
def model():
  return Model()


@pytest.fixture(scope="module")
def url(model):
  with planted.served(model) as address:
    yield address


@pytest.fixture
def page(browser, url, request):
  width, height = getattr(request, "param", WIDE)
  # Headless windows are at least 500 wide; this emulates the screen of a phone.
  browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                          {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
  browser.get(url)
  until(lambda: find(browser, "#go").is_enabled())
  browser.get_log("browser")
  yield browser


def find(page, selector):
  return page.find_element("css selector", selector)


def texts(page, selector):
  return [each.text for each in page.find_elements("css selector", selector)]


def until(true):
  end = time.monotonic() + 15
  while not true():
    assert time.monotonic() < end
    time.sleep(0.02)


def say(page, text, end=keys.Keys.ENTER):
  field = find(page, "#text")
  field.clear()
  field.send_keys(text, end)


def shown(page, selector):
  return find(page, selector).is_displayed()


def test_a_sentence_its_alternatives_and_passes(page):
  assert find(page, "#model").text == "From English to Pig Latin. Each translation is refined in 3 steps."
  say(page, "the old tower")
  until(lambda: shown(page, "#passes"))
  assert find(page, "#translation").text == "THE OLD TOWER"
  assert "ms \u00b7 score \u221213.00" in find(page, "#facts").text
  rows = texts(page, "#alternatives tbody tr")
  assert rows == ["2 The old tower \u221299.50", "3 ? none"]
  assert texts(page, "#passes td") == ["THE RED HOUSE", "THE OLD HOUSE", "THE OLD TOWER"]
  assert texts(page, "#passes tbody mark") == ["OLD", "TOWER"]
  assert texts(page, "#passes tbody .asked") == ["HOUSE"]
  assert not shown(page, "#error") and page.get_log("browser") == []


def test_the_button_does_what_enter_does_and_each_line_is_a_sentence(page):
  find(page, "#text").clear()
  page.execute_script("document.getElementById('text').value = ' two\\n  lines\\t'")
  find(page, "#go").click()
  until(lambda: texts(page, "#translation p") == ["TWO", "LINES"])
  assert find(page, "#facts").text.startswith("2 sentences") and not shown(page, "#alternatives")
  page.execute_script("document.getElementById('text').value = 'long one\\rtwo\\n\\nlong three'")
  find(page, "#go").click()
  until(lambda: texts(page, "#translation p") == ["LONG ONE", "TWO", "LONG THREE"])
  assert "sentences 1, 3 are longer" in find(page, "#truncated").text


def test_the_interface_is_described(page, url):
  page.get(f"{url}/docs")
  until(lambda: "/translate" in find(page, "#paths").text)
  assert "/health" in find(page, "#paths").text and page.get_log("browser") == []


def test_a_truncated_sentence_is_said(page):
  say(page, "long one")
  until(lambda: shown(page, "#truncated"))
  assert find(page, "#truncated").text == "The end was left out: the sentence is longer than the model takes."
  say(page, "short")
  until(lambda: find(page, "#translation").text == "SHORT" and not shown(page, "#truncated"))


def test_what_the_model_says_is_text_and_no_markup(page):
  say(page, "markup")
  until(lambda: find(page, "#translation").text == "<img src=x onerror=alert(1)>")
  assert page.find_elements("css selector", "img") == [] and "score none" in find(page, "#facts").text


def test_a_second_sentence_while_the_first_is_under_way_is_no_error(page):
  for number in range(12):
    page.execute_script("""
      const field = document.getElementById("text"), go = document.getElementById("go");
      for (const text of ["one", "two", arguments[0]]) { field.value = text; go.click(); }
    """, f"last {number}")
    until(lambda last=f"LAST {number}": texts(page, "#translation") == [last])
    assert not shown(page, "#error"), find(page, "#error").text


def test_errors_are_shown_and_go_away(page):
  say(page, "boom")
  until(lambda: shown(page, "#error"))
  assert find(page, "#error").text.startswith("The model failed with RuntimeError")
  assert find(page, "#error").get_attribute("role") == "alert"
  page.execute_script("document.getElementById('text').value = 'a'.repeat(301)")
  find(page, "#go").click()
  until(lambda: "Expected at most 300 characters" in find(page, "#error").text)
  say(page, "   ")
  until(lambda: find(page, "#error").text == "Type a sentence first.")
  say(page, "fine")
  until(lambda: find(page, "#translation").text == "FINE")
  assert not shown(page, "#error")


def test_only_the_last_question_is_answered(page, model):
  model.gate.clear()
  say(page, "first")
  say(page, "second")
  model.gate.set()
  until(lambda: shown(page, "#passes"))
  assert find(page, "#translation").text == "SECOND" and not shown(page, "#error")


@pytest.mark.parametrize("page", [WIDE, PHONE], ids=["wide", "phone"], indirect=True)
def test_nothing_is_cut_off(page):
  say(page, "a rather long sentence of quite ordinary words " * 6 + "x" * 15)
  until(lambda: shown(page, "#passes"))
  width = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
  assert width[0] <= width[1]
  for selector in ("#text", "#go", "#translation", "#alternatives", "#passes"):
    box = find(page, selector).rect
    assert box["x"] >= 0 and box["x"] + box["width"] <= width[1] + 0.5


def test_it_asks_nobody_else(page, url):
  say(page, "alone")
  until(lambda: shown(page, "#passes"))
  asked = page.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
  assert asked and all(each.startswith(f"{url}/") for each in asked)


def test_it_can_be_used_without_seeing_it(page):
  assert find(page, "html").get_attribute("lang") == "en" and page.title == "Translate"
  assert find(page, "#text").accessible_name == "Text" and find(page, "#go").accessible_name == "Translate"
  assert find(page, "#answer").get_attribute("aria-live") == "polite"
  say(page, "a table")
  until(lambda: shown(page, "#passes"))
  assert [table.accessible_name for table in page.find_elements("css selector", "table")] == ["Alternatives", "Passes"]
  assert page.switch_to.active_element.get_attribute("id") == "text"


def test_it_waits_until_the_model_is_warm(browser):
  cold = planted.Model()
  cold.gate.clear()
  with planted.served(cold, warm_ups=[("translate", ["warm"])]) as address:
    browser.get(address)
    until(lambda: find(browser, "#model").text == "The model is warming up\u2026")
    assert not find(browser, "#go").is_enabled()
    say(browser, "too early")
    cold.gate.set()
    until(lambda: find(browser, "#go").is_enabled())
    assert not shown(browser, "#error") and cold.batches == [("translate", ["warm"])]


def test_what_the_model_has_not_is_not_asked_for(browser):
  with planted.served(planted.Model(("translate",))) as address:
    browser.get(address)
    until(lambda: find(browser, "#go").is_enabled())
    browser.get_log("browser")
    say(browser, "a house")
    until(lambda: find(browser, "#translation").text == "A HOUSE")
    time.sleep(0.2)
    assert not shown(browser, "#alternatives") and not shown(browser, "#passes") and browser.get_log("browser") == []
  say(browser, "nobody there")
  until(lambda: find(browser, "#error").text == "The server does not answer. Is it still running?")
