"""The report page in a headless Chromium, opened from disk as a reader opens it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from page_builders import HOSTILE, IDS, SYSTEMS, build_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
SECONDS = 30  # to wait for what should be there at once, on a machine that is busy

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install -e '.[dev]')")
if not BROWSER or not DRIVER:
    pytest.skip("no Chromium or chromedriver in PATH (Debian: chromium, chromium-driver)", allow_module_level=True)

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--hide-scrollbars", "--window-size=1300,1000"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The page's folder, moved away from all that it was made of."""
    sent = tmp_path_factory.mktemp("sent") / "a folder & more"
    return build_page(tmp_path_factory.mktemp("made")).rename(sent)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def page(driver, folder):
    """The page, freshly opened; at the end of the test nothing may have been said on the console."""
    driver.get((folder / "index.html").as_uri())
    until(driver, lambda: text(driver, "title"))
    yield driver
    assert driver.get_log("browser") == []


def until(driver, condition):
    return WebDriverWait(driver, SECONDS, poll_frequency=0.02).until(lambda _: condition())


def part(driver, name):
    return driver.find_element(By.CSS_SELECTOR, f'[data-part="{name}"]')


def text(driver, name) -> str:
    return part(driver, name).get_attribute("textContent")


def choose(driver, name, label):
    Select(driver.find_element(By.CSS_SELECTOR, f'[data-control="{name}"]')).select_by_visible_text(label)


def listed(driver) -> list[str]:
    rows = driver.find_elements(By.CSS_SELECTOR, ".list .row")
    return [row.get_attribute("title") for row in sorted(rows, key=lambda row: int(row.get_attribute("data-place")))]


def border(driver) -> int:
    return int(part(driver, "handle").get_attribute("aria-valuenow"))


def clipped(driver) -> str:
    return driver.execute_script("return arguments[0].style.clipPath", part(driver, "canvas-b"))


def pixels(driver, canvas) -> np.ndarray:
    """What is painted: RGBA of shape (height, width, 4)."""
    script = """const { width, height } = arguments[0];
    const image = arguments[0].getContext('2d').getImageData(0, 0, width, height);
    return [image.height, image.width, [...image.data]];"""
    height, width, data = driver.execute_script(script, part(driver, canvas))
    return np.array(data).reshape(height, width, 4)


def press(driver, *keys):
    ActionChains(driver).send_keys(*keys).perform()


def test_the_mouse_drags_the_border_between_the_two_systems(page):
    stage = part(page, "stage")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    width = stage.size["width"]
    assert border(page) == 50
    drag = ActionChains(page).move_to_element(stage).click_and_hold().move_by_offset(int(-width / 4), 0).release()
    drag.perform()
    assert border(page) in range(24, 27)
    assert clipped(page).startswith("inset(0px 0px 0px 2")
    ActionChains(page).move_to_element_with_offset(stage, int(width * 0.4), 5).click().perform()
    assert border(page) in range(89, 92)


def test_the_keyboard_alone_moves_the_border_and_chooses_pictures_and_views(page):
    handle = part(page, "handle")
    page.execute_script("arguments[0].focus()", handle)
    press(page, Keys.ARROW_LEFT)
    assert border(page) == 48
    ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    assert border(page) == 58
    press(page, Keys.END)
    assert border(page) == 100
    press(page, Keys.HOME)
    assert border(page) == 0
    order = listed(page)
    press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    until(page, lambda: text(page, "title") == order[2])
    press(page, Keys.ARROW_UP)
    until(page, lambda: text(page, "title") == order[1])
    selected = page.find_element(By.CSS_SELECTOR, '.row[aria-selected="true"]')
    assert selected.get_attribute("title") == order[1]
    press(page, "d")
    assert page.find_element(By.CSS_SELECTOR, '[data-mode="difference"]').get_attribute("aria-pressed") == "true"
    before = [text(page, "tag-a"), text(page, "tag-b")]
    press(page, "x")
    until(page, lambda: text(page, "tag-a")[3:] == before[1][3:])
    press(page, "t")
    until(page, lambda: text(page, "tag-b") == "B: ground truth")
    press(page, "/")
    assert page.switch_to.active_element.get_attribute("type") == "search"


def test_a_class_is_filtered_for_and_scored_alone(page):
    choose(page, "sort", "picture id")
    assert listed(page) == sorted(IDS)
    choose(page, "class", "dog")
    assert listed(page) == sorted(IDS)[::2]
    assert text(page, "count") == "3 of 5 pictures"
    choose(page, "class", "aeroplane")
    assert listed(page) == []
    choose(page, "class", "all")
    page.find_element(By.CSS_SELECTOR, '[data-control="find"]').send_keys("D'S <I>")
    until(page, lambda: listed(page) == [IDS[2]])
    until(page, lambda: text(page, "title") == IDS[2])


def test_pictures_are_sorted_by_iou_and_by_disagreement(page):
    choose(page, "a", SYSTEMS[0])
    choose(page, "b", f"{SYSTEMS[2]} †")
    for order in ("where A and B differ most", "IoU of B, worst first", "gain of B over A"):
        choose(page, "sort", order)
        shown = page.execute_script(
            """const x = segrepro.explorer, number = (p) => [x.shares(p.index, x.a, x.b), x.iou(p, x.b), x.iou(p, x.a)];
            return x.items.map(number);"""
        )
        keys = {"w": lambda row: -row[0], "I": lambda row: row[1], "g": lambda row: row[2] - row[1]}[order[0]]
        assert [keys(row) for row in shown] == sorted(keys(row) for row in shown)
    assert all(row[2] == 100 for row in shown)


def test_the_first_comparison_is_of_the_best_systems_that_have_not_seen_the_pictures(page):
    assert text(page, "tag-a").startswith(f"A: {SYSTEMS[1]}")
    assert text(page, "tag-b").startswith(f"B: {SYSTEMS[0]} · 100.0")


def test_the_difference_view_says_who_is_right(page):
    """On the left half the third system calls everything aeroplane; the first is right everywhere."""
    choose(page, "a", SYSTEMS[0])
    choose(page, "b", f"{SYSTEMS[2]} †")
    until(page, lambda: "leaking" in text(page, "tag-b"))
    page.find_element(By.CSS_SELECTOR, '[data-mode="difference"]').click()
    until(page, lambda: "only A is right" in text(page, "legend"))
    painted = pixels(page, "canvas-d")
    assert painted[0, 0].tolist() == [86, 180, 233, 255]
    assert painted[0, 31].tolist() == [0, 0, 0, 0]
    assert painted[4, 3].tolist() == [0, 0, 0, 0]  # in the ring of void around an object: never scored
    share = float(text(page, "legend").split("only A is right: ")[1].split(" %")[0])
    assert 40 < share < 60


def test_the_ranking_puts_a_system_on_either_side(page):
    button = page.find_element(By.CSS_SELECTOR, f'.ranking button[aria-label="{SYSTEMS[2]} † as A"]')
    page.execute_script("arguments[0].click()", button)
    until(page, lambda: text(page, "tag-a").startswith(f"A: {SYSTEMS[2]} †"))


def test_the_keyboard_stays_in_the_explorer_after_a_choice_in_the_ranking(page):
    button = page.find_element(By.CSS_SELECTOR, f'.ranking button[aria-label="{SYSTEMS[2]} † as B"]')
    page.execute_script("arguments[0].focus()", button)
    press(page, Keys.ENTER)
    until(page, lambda: text(page, "tag-b").startswith(f"B: {SYSTEMS[2]} †"))
    order = listed(page)
    before = order.index(text(page, "title"))
    press(page, Keys.ARROW_UP if before else Keys.ARROW_DOWN)
    until(page, lambda: text(page, "title") == order[before - 1 if before else 1])
    assert page.switch_to.active_element.get_attribute("aria-label") == f"{SYSTEMS[2]} † as B"


def test_the_label_below_the_pointer_is_told(page):
    choose(page, "a", "ground truth")
    until(page, lambda: text(page, "tag-a") == "A: ground truth")
    stage = part(page, "stage")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    ActionChains(page).move_to_element(stage).perform()
    until(page, lambda: re.match(r"x 1[56], y 1[12]: truth (\w+) · A \1 · B \w+$", text(page, "readout")))


def test_a_click_sorts_a_table_by_value_and_the_next_one_turns_it(page):
    head = page.find_element(By.CSS_SELECTOR, "#table-miou th:nth-child(4)")
    column = "return [...document.querySelectorAll('#table-miou td:nth-child(4)')].map((cell) => cell.textContent)"
    head.find_element(By.TAG_NAME, "button").click()
    assert page.execute_script(column) == ["70.00", "61.20", "9.50"]
    assert head.get_attribute("aria-sort") == "descending"
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert page.execute_script(column) == ["9.50", "61.20", "70.00"]
    leaks = page.find_element(By.CSS_SELECTOR, "#table-miou th:nth-child(3) button")
    leaks.click()
    first = page.execute_script("return document.querySelector('#table-miou td').textContent")
    assert first == f"{SYSTEMS[2]} †"  # empty cells come last in either direction


def test_hostile_names_are_text(page):
    assert page.find_elements(By.CSS_SELECTOR, "img[src='x']") == []
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, "#run").get_attribute("textContent")
    assert "<b>" in page.find_element(By.CSS_SELECTOR, "#table-odd td").text


def test_run_times_and_graphs_are_shown(page):
    assert "2 min 00 s" in page.find_element(By.ID, "times").get_attribute("textContent")
    graph = page.find_element(By.CSS_SELECTOR, "#run svg.graph").get_attribute("textContent")
    assert graph in ("trainspec", "spectrain")


def test_the_theme_is_switched_and_kept(page):
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(colour)
    page.find_element(By.ID, "theme").click()
    dark = page.execute_script(colour)
    assert light != dark
    page.refresh()
    assert page.execute_script(colour) == dark
    page.execute_script("localStorage.clear()")


def test_a_phone_scrolls_in_one_direction_only(page):
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    until(page, lambda: page.execute_script("return innerWidth") == 390)
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_missing_file_of_the_explorer_is_named(driver, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    for script in (copy / "pictures/toy").glob("[0-9]*.js"):
        script.unlink()
    driver.get((copy / "index.html").as_uri())
    until(driver, lambda: "is missing from the page's folder" in text(driver, "readout"))
    driver.get_log("browser")
